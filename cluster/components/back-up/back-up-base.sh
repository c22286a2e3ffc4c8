#!/bin/bash
# Writes base/TIME: PostgreSQL's files themselves with the log that makes them whole. Restoring one is copying, whatever the
# size; a dump has to be read and indexed again.
set -euo pipefail
# As a pod's first process it would not hear that it shall end.
trap 'exit 143' TERM
umask 077
folder=${BACK_UP_FOLDER:?}/base
days=${KEEP_DAYS:?}
mkdir -p "$folder"
cd "$folder"
find . -maxdepth 1 -name '.*.partial' -mmin +1440 -exec rm -rf {} +

name=$(date -u +%Y%m%dT%H%M%SZ)
draft=.$name.partial
trap 'rm -rf "$draft" .sha256.partial' EXIT
# A new pod's address reaches what enforces the network policies after seconds: until then it is refused.
for _ in $(seq 1 30); do
  pg_isready --quiet --timeout=5 && break
  sleep 2
done
pg_basebackup --pgdata="$draft" --format=tar --gzip --wal-method=stream --checkpoint=fast --no-password
# The server has checked each page that it sent; here the archives are read to their ends.
gzip --test "$draft"/*.gz
(cd "$draft" && sha256sum -- * >../.sha256.partial && mv ../.sha256.partial sha256)
sync
mv "$draft" "$name"
echo "backed up: base/$name, $(du -sb "$name" | cut -f1) bytes"

find . -mindepth 1 -maxdepth 1 -type d ! -name "$name" -mtime "+$days" -print -exec rm -rf {} +
