#!/bin/bash
# PostgreSQL's archive_command: keeps the file $1 as $2.gz in WAL_ARCHIVE. PostgreSQL forgets a segment once this succeeds, so it
# succeeds only when all of it is on the disk; what fails is tried again for ever, and counted in pg_stat_archiver.
set -euo pipefail
umask 077
folder=${WAL_ARCHIVE:?}
days=${KEEP_DAYS:?}
file=${1:?}
name=${2:?}
kept=$folder/$name.gz
draft=$folder/.$name.partial

if [ -e "$kept" ]; then
  # After a crash PostgreSQL may ask for the same again.
  if gzip --decompress --stdout "$kept" | cmp --quiet - "$file"; then
    sync "$folder"
    exit 0
  fi
  echo "error: $kept is there with other bytes, as if another database wrote to this archive: move what is old away" >&2
  exit 1
fi
trap 'rm -f "$draft"' EXIT
# A segment that archive_timeout ended early is mostly zeros.
gzip --fast <"$file" >"$draft"
sync "$draft"
mv "$draft" "$kept"
sync "$folder"

# About once a day. What the newest base back-up needs stays however old it is: it is the only way back.
case $name in
  *00)
    find "$folder" -maxdepth 1 -name '.*.partial' -mmin +1440 -delete
    newest=$(find "$folder" -maxdepth 1 -name '*.backup.gz' -printf '%T@ %f\n' | sort --numeric-sort | tail -n 1)
    # Such a file is named after the segment that its back-up begins with.
    first=$(cut -d ' ' -f 2 <<<"$newest" | cut -d . -f 1)
    if [ -e "$folder/$first.gz" ]; then
      find "$folder" -maxdepth 1 -name '*.gz' ! -name '*.history.gz' ! -name "$first.gz" ! -newer "$folder/$first.gz" \
        -mtime "+$days" -delete
    fi
    ;;
esac
