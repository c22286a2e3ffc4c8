#!/bin/bash
# Puts the files of BACK_UP (TIME, or latest) where PostgreSQL's are. PostgreSQL must not run: scale it to 0 before, to 1 after.
# What was there is kept beside it as PGDATA.before-TIME.
set -euo pipefail
# As a pod's first process it would not hear that it shall end.
trap 'exit 143' TERM
cd "${BACK_UP_FOLDER:?}/base" || { echo "error: no back-up was ever made: create a job from cronjob/back-up-base" >&2; exit 1; }
name=${BACK_UP:-latest}
if [ "$name" = latest ]; then
  name=$(find . -mindepth 1 -maxdepth 1 -type d ! -name '.*' -printf '%f\n' | sort | tail -n 1)
fi
if [ -z "$name" ] || [ ! -f "$name/base.tar.gz" ]; then
  echo "error: there is no back-up '${name:-latest}'; there are:" >&2
  find . -mindepth 1 -maxdepth 1 -type d ! -name '.*' -printf '  %f\n' | sort >&2
  exit 1
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
if [ -e "$target" ]; then
  mv "$target" "$target.before-$now"
fi
mv "$draft" "$target"
sync
trap - EXIT
echo "restored: base/$name; what was there is $target.before-$now: delete it when it is not needed any more"
