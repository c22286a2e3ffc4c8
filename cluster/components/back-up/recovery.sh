# Read in by restore-base.sh: which base back-up leads to a time, and what PostgreSQL is told so that it replays its log from
# WAL_ARCHIVE. Nothing here changes a file but `write_recovery`.
#
# Each recovery begins another timeline, and the archive keeps what the one before had after that. So a restore may be done
# again to another time: meant is always the timeline that was in force then.

refuse() {
  echo "error: $1" >&2
  exit 1
}

# Times are written so that their order is that of their texts, and so that PostgreSQL reads them.
time_of() { date --utc "$@" +'%F %T.%6N+00'; }

# Sets `moment`, the time that UNTIL means; it stays empty for `end`.
read_until() {
  moment=
  [ -n "$archive" ] || refuse "UNTIL was '$until', but no log is archived: use the component wal-archive, or leave UNTIL empty"
  [ "$until" != end ] || return 0
  local form='^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}:[0-9]{2})$'
  [[ $until =~ $form ]] && moment=$(time_of --date="$until" 2>/dev/null) ||
    refuse "UNTIL must be a time with its zone, like 2026-11-21T10:00:00Z, or end, was '$until'"
}

# Sets `timeline`, and `history`: the archive's file about those that it came from; the first timeline has none.
read_timeline() {
  history=$(find "$archive" -maxdepth 1 -name '????????.history.gz' ! -newermt "${moment:-now}" -printf '%f\n' | sort | tail -n 1)
  timeline=1
  [ -z "$history" ] || timeline=$((16#${history%%.*}))
  [ -n "$moment" ] || return 0
  # PostgreSQL refuses to start when its log ends before the time.
  local later
  later=$(find "$archive" -maxdepth 1 -name "$(printf '%08X' "$timeline")????????????????.gz" -newermt "$moment" -print -quit)
  [ -n "$later" ] || refuse "UNTIL was '$until', but the archive has nothing that is newer: say an earlier time, or end"
}

position() { echo $((16#${1%/*} << 32 | 16#${1#*/})); }

# Says why back-up $1 does not lead to UNTIL; says nothing when it does.
objection() {
  local ended own begin end first fork
  local ranges='s/.*"Timeline": ([0-9]+), "Start-LSN": "([^"]+)", "End-LSN": "([^"]+)".*/\1 \2 \3/p'
  read -r own begin end < <(sed -nE "$ranges" "$1/backup_manifest" | tail -n 1) || true
  if [ -z "$end" ]; then
    echo "its backup_manifest says nothing about the log"
    return
  fi
  # The last file that is written.
  ended=$(time_of --reference="$1/backup_manifest")
  if [ -n "$moment" ] && [[ $ended > $moment ]]; then
    echo "it was made at $ended, which is later"
    return
  fi
  # Segments have the size that PostgreSQL gives them: 16 MiB.
  first=$(printf '%08X%08X%08X' "$own" $((16#${begin%/*})) $((16#${begin#*/} >> 24)))
  if [ ! -e "$archive/$first.gz" ]; then
    echo "the archive lacks the log after it, which begins with $first"
  elif [ "$own" != "$timeline" ]; then
    fork=$(gzip --decompress --stdout "$archive/$history" | awk -v own="$own" '$1 == own { print $2 }')
    if [ -z "$fork" ] || [ "$(position "$end")" -gt "$(position "$fork")" ]; then
      echo "it is of timeline $own, whose end was given up by a restore; the database was on timeline $timeline then"
    fi
  fi
}

# Sets `name` to the newest of the given back-ups that leads to UNTIL.
choose_back_up() {
  local one why reasons=
  for one in "$@"; do
    why=$(objection "$one")
    if [ -z "$why" ]; then
      name=$one
      return
    fi
    reasons+=$'\n'"  $one: $why"
  done
  refuse "UNTIL was '$until', but no back-up leads there:$reasons"
}

# Tells PostgreSQL, in the data folder $1, what to do at its next start. Afterwards the settings mean nothing: it looks at them
# only while recovery.signal is there, and deletes that itself.
write_recovery() {
  local settings=$1/postgresql.auto.conf
  # A base back-up made after a restore has those of that one, and two targets are refused.
  sed -i -E '/^(restore_command|recovery_target[a-z_]*|hot_standby) *=/d' "$settings"
  {
    # A missing file is the archive's end; a damaged one must stop PostgreSQL, which above 125 it does.
    echo "restore_command = 'test -e \"$archive/%f.gz\" || exit 1; gzip -dc \"$archive/%f.gz\" >\"%p\" || exit 126'"
    case ${until:-immediate} in
      # The end of the base back-up. A recovery all the same: going on in its timeline would write segments that the archive has.
      immediate)
        echo "recovery_target = 'immediate'"
        echo "recovery_target_timeline = 'current'"
        ;;
      end) echo "recovery_target_timeline = '$timeline'" ;;
      *)
        echo "recovery_target_time = '$moment'"
        echo "recovery_target_timeline = '$timeline'"
        ;;
    esac
    echo "recovery_target_action = 'promote'"
    # Not ready before it is done: who connects earlier could only read.
    echo "hot_standby = off"
  } >>"$settings"
  touch "$1/recovery.signal"
}
