#!/bin/bash
# Writes database/TIME.dump: everything that the database holds at one moment, while it goes on working.
set -euo pipefail
# As a pod's first process it would not hear that it shall end.
trap 'exit 143' TERM
umask 077
folder=${BACK_UP_FOLDER:?}/database
days=${KEEP_DAYS:?}
mkdir -p "$folder"
cd "$folder"
# What a pod that was killed has left.
find . -maxdepth 1 -name '.*.partial' -mmin +1440 -delete

name=$(date -u +%Y%m%dT%H%M%SZ).dump
draft=.$name.partial
trap 'rm -f "$draft"' EXIT
# A new pod's address reaches what enforces the network policies after seconds: until then it is refused.
for _ in $(seq 1 30); do
  pg_isready --quiet --timeout=5 && break
  sleep 2
done
pg_dump --format=custom --no-owner --no-privileges --lock-wait-timeout=60s --file="$draft"
# Read to its end: a file that cannot be listed cannot be restored.
pg_restore --file=/dev/null "$draft"
sync "$draft"
digest=$(sha256sum <"$draft")
echo "${digest%% *}  $name" >"$name.sha256"
mv "$draft" "$name"
echo "backed up: database/$name, $(stat -c %s "$name") bytes"

find . -maxdepth 1 -name '*.dump*' ! -name "$name*" -mtime "+$days" -print -delete
