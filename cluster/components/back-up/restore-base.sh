#!/bin/bash
# Puts the files of BACK_UP (TIME, or latest) where PostgreSQL's are. PostgreSQL must not run: scale it to 0 before, to 1 after.
# What was there is kept beside it as PGDATA.before-TIME.
#
# Where the log is archived (WAL_ARCHIVE, the component wal-archive) UNTIL may say a time, or end: when PostgreSQL starts it
# replays its log until then. Latest is the newest back-up from before that. Without UNTIL: the moment of the back-up.
set -euo pipefail
# As a pod's first process it would not hear that it shall end.
trap 'exit 143' TERM
archive=${WAL_ARCHIVE:-}
until=${UNTIL:-}
. "$(dirname "$0")/recovery.sh"

cd "${BACK_UP_FOLDER:?}/base" || { echo "error: no back-up was ever made: create a job from cronjob/back-up-base" >&2; exit 1; }
mapfile -t known < <(find . -mindepth 1 -maxdepth 1 -type d ! -name '.*' -printf '%f\n' | sort --reverse)
name=${BACK_UP:-latest}
candidates=("$name")
if [ "$name" = latest ]; then
  name=${known[0]:-}
  candidates=("${known[@]}")
fi
if [ -z "$name" ] || [ ! -f "$name/base.tar.gz" ]; then
  echo "error: there is no back-up '${name:-latest}'; there are:" >&2
  printf '%s\n' "${known[@]/#/  }" >&2
  exit 1
fi
if [ -n "$until" ]; then
  read_until
  read_timeline
  choose_back_up "${candidates[@]}"
fi
# Asked for a while: to a new pod the network policies refuse what they allow, until they have seen its address.
for _ in $(seq 1 10); do
  if pg_isready --quiet --timeout=5; then
    echo "error: PostgreSQL runs: kubectl scale statefulset/postgres --replicas=0, and create this job again" >&2
    exit 1
  fi
  sleep 2
done
(cd "$name" && sha256sum --check --quiet sha256)

target=${PGDATA:?}
now=$(date -u +%Y%m%dT%H%M%SZ)
draft=$target.restored-$now
trap 'rm -rf "$draft"' EXIT
mkdir -p "$draft"
chmod 700 "$draft"
tar --extract --gzip --file="$name/base.tar.gz" --directory="$draft"
tar --extract --gzip --file="$name/pg_wal.tar.gz" --directory="$draft/pg_wal"
if [ -n "$archive" ]; then
  write_recovery "$draft"
fi
if [ -e "$target" ]; then
  mv "$target" "$target.before-$now"
fi
mv "$draft" "$target"
sync
trap - EXIT
echo "restored: base/$name${until:+, and PostgreSQL replays its log until $until}; what was there is $target.before-$now: delete it when it is not needed any more"
