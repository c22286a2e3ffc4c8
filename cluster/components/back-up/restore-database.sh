#!/bin/bash
# Restores BACK_UP (TIME.dump, or latest) into a new database and lets it take the place of the one that is there, in a moment.
# What was there is kept as NAME_before_TIME until someone drops it; when anything fails it stays where it is.
set -euo pipefail
# As a pod's first process it would not hear that it shall end.
trap 'exit 143' TERM
cd "${BACK_UP_FOLDER:?}/database" || { echo "error: no back-up was ever made: create a job from cronjob/back-up-database" >&2; exit 1; }
name=${BACK_UP:-latest}
if [ "$name" = latest ]; then
  name=$(find . -maxdepth 1 -name '*.dump' -printf '%f\n' | sort | tail -n 1)
fi
if [ -z "$name" ] || [ ! -f "$name" ]; then
  echo "error: there is no back-up '${name:-latest}'; there are:" >&2
  find . -maxdepth 1 -name '*.dump' -printf '  %f\n' | sort >&2
  exit 1
fi
sha256sum --check --quiet "$name.sha256"

# A new pod's address reaches what enforces the network policies after seconds: until then it is refused.
for _ in $(seq 1 30); do
  pg_isready --quiet --timeout=5 && break
  sleep 2
done

database=${PGDATABASE:?}
now=$(date -u +%Y%m%dT%H%M%SZ)
restored=${database}_restored_$now
before=${database}_before_$now
# To make and rename databases one has to be in another.
admin() { PGDATABASE=postgres psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 "$@"; }

clean_up() {
  admin -c "DROP DATABASE IF EXISTS \"$restored\" WITH (FORCE)" || true
  admin -c "ALTER DATABASE \"$database\" WITH ALLOW_CONNECTIONS true" || true
}
trap clean_up EXIT

admin -c "CREATE DATABASE \"$restored\" TEMPLATE template0"
pg_restore --dbname="$restored" --no-owner --no-privileges --exit-on-error --jobs="${JOBS:-2}" "$name"
psql --no-psqlrc --quiet --dbname="$restored" -c ANALYZE

# Nobody may come in while the names change; clients lose their connection once and connect again.
admin -c "ALTER DATABASE \"$database\" WITH ALLOW_CONNECTIONS false"
for try in $(seq 1 30); do
  admin -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '$database'" >/dev/null
  # Both names in one transaction: there is no moment without a database.
  if admin --single-transaction \
    -c "ALTER DATABASE \"$database\" RENAME TO \"$before\"" \
    -c "ALTER DATABASE \"$restored\" RENAME TO \"$database\""; then
    trap - EXIT
    echo "restored: database/$name; what was there is $before: drop it when it is not needed any more"
    exit 0
  fi
  sleep 1
done
echo "error: $database could not be renamed; it is as it was" >&2
exit 1
