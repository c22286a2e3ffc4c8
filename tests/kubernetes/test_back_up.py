"""Back up, destroy, restore, compare: the CronJobs of the component back-up, run now."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest

from cluster.local.process import child_environment
from tests.kubernetes.dev_cluster import NAMESPACE, OVERLAY, REPOSITORY, signal, wait_for
from tests.kubernetes.node.folders import KUBECONFIG
from tests.kubernetes.node.kubectl import kubectl, read
from tests.kubernetes.node.network import inside
from tests.kubernetes.stored import exchange_now_ms, newest_closed, stored
from tests.kubernetes.times import record

pytestmark = [pytest.mark.usefixtures("dev"), pytest.mark.timeout(900)]

# What a search leaves: candles and signals go on changing, and candles are held against the exchange's own.
KEPT = ("strategies", "strategy_evidence", "discovery_runs", "accounts")
DAMAGE = "DROP TABLE candles, strategies CASCADE"


def test_what_was_destroyed_is_back_as_it_was() -> None:
    before = {table: checksum(table) for table in KEPT}
    back_up = run_now("back-up-database")
    known = wait_for("what is stored", stored, 60.0)
    query(DAMAGE)
    assert stored() is None, "the tables are gone"
    restore = run_now("restore-database")
    assert {table: checksum(table) for table in KEPT} == before
    asked_until = exchange_now_ms()
    found = wait_for("newer candles", lambda: (now := stored()) and now.last >= newest_closed(asked_until) and now)
    wait_for("a signal", lambda: signal("SPX")[0] == 200, 180.0)
    record("back-up", seconds=back_up, candles=known.rows)
    record("restore", seconds=restore, candles=found.rows)
    assert found.wrong() == {}
    assert found.rows >= known.rows


def test_the_database_goes_back_to_a_time() -> None:
    run_now("back-up-base")
    query("CREATE TABLE marks (number int); INSERT INTO marks VALUES (1)")
    moment = query("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
    query(f"INSERT INTO marks VALUES (2); {DAMAGE}")
    segment = query("SELECT pg_walfile_name(pg_switch_wal())")
    wait_for("the archive", lambda: query("SELECT last_archived_wal FROM pg_stat_archiver") >= segment, 60.0)
    started = time.monotonic()
    deploy("restore", "--base", "--until", moment, "--yes", "--timeout", "600")
    record("restore to a time", seconds=time.monotonic() - started)
    assert query("SELECT string_agg(number::text, ',') FROM marks") == "1"
    query("DROP TABLE marks")
    asked_until = exchange_now_ms()
    found = wait_for("newer candles", lambda: (now := stored()) and now.last >= newest_closed(asked_until) and now)
    wait_for("a signal", lambda: signal("SPX")[0] == 200, 180.0)
    assert found.wrong() == {}


def deploy(*words: str) -> str:
    """Run the operators' tool on the overlay and return what it prints."""
    said = subprocess.run(
        inside([sys.executable, "-m", "cluster.deploy", *words, "--overlay", str(OVERLAY)]),
        cwd=REPOSITORY,
        env=child_environment({"KUBECONFIG": str(KUBECONFIG)}),
        capture_output=True,
        text=True,
        check=False,
        timeout=660.0,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout


def run_now(name: str) -> float:
    """Run a CronJob's Job now; return how long it took."""
    job, started = f"{name}-{int(time.time())}", time.monotonic()
    kubectl("-n", NAMESPACE, "create", "job", job, f"--from=cronjob/{name}")

    def ended() -> Any:
        status = read("-n", NAMESPACE, "job", job)["status"]
        return status if status.get("succeeded") or status.get("failed") else None

    status = wait_for(job, ended, 300.0)
    assert status.get("succeeded"), kubectl("-n", NAMESPACE, "logs", f"job/{job}")
    return time.monotonic() - started


def checksum(table: str) -> str:
    """Return the number of a table's rows and a checksum of all, whatever their order."""
    return query(f"SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) FROM {table} t")


def query(statement: str) -> str:
    psql = ["psql", "--no-psqlrc", "-h", "127.0.0.1", "-U", "alpharay", "-d", "alpharay", "-tA"]
    environment = ["env", "PGPASSWORD=only-for-dev"]
    pod = ("-n", NAMESPACE, "exec", "postgres-0", "--")
    return kubectl(*pod, *environment, *psql, "-v", "ON_ERROR_STOP=1", "-c", statement).strip()
