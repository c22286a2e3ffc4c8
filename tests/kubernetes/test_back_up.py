"""Back up, destroy, restore, compare: the CronJobs of the component back-up, run now."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.local.process import child_environment
from tests.kubernetes.dev_cluster import NAMESPACE, OVERLAY, REPOSITORY, apply_overlay, signal, wait_for
from tests.kubernetes.node import bucket_client
from tests.kubernetes.node.folders import KUBECONFIG
from tests.kubernetes.node.kubectl import kubectl, read
from tests.kubernetes.node.network import inside
from tests.kubernetes.stored import exchange_now_ms, newest_closed, stored
from tests.kubernetes.times import record

pytestmark = [pytest.mark.usefixtures("dev"), pytest.mark.timeout(900)]

# What a search leaves: candles and signals go on changing, and candles are held against the exchange's own.
KEPT = ("strategies", "strategy_evidence", "discovery_runs", "accounts")
DAMAGE = "DROP TABLE candles, strategies CASCADE"
BUCKET = Path(__file__).with_name("bucket")


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


@pytest.fixture
def bucket(dev: None) -> Iterator[None]:
    """A store that speaks S3, with an empty bucket; taken away afterwards."""
    bucket_client.import_image()
    apply_overlay(BUCKET)
    try:
        kubectl("-n", NAMESPACE, "rollout", "status", "deployment/store", "--timeout=120s", seconds=140.0)
        yield
    finally:
        apply_overlay()
        schedules = [f"cronjob/{one}" for one in ("back-up-s3", "wal-archive-s3", "fetch-back-up", "fetch-wal-archive")]
        rest = ("deployment/store", "service/store", "networkpolicy/store", "networkpolicy/back-up-s3")
        settings = ("configmap/bucket", "secret/back-up-s3")
        kubectl("-n", NAMESPACE, "delete", "--ignore-not-found", *schedules, *rest, *settings)


def test_what_the_volumes_lost_comes_back_from_the_bucket(bucket: None) -> None:
    run_now("back-up-base")
    query("CREATE TABLE marks (number int); INSERT INTO marks VALUES (1)")
    before = {table: checksum(table) for table in KEPT}
    moment = query("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
    query("INSERT INTO marks VALUES (2)")
    segment = query("SELECT pg_walfile_name(pg_switch_wal())")
    wait_for("the archive", lambda: query("SELECT last_archived_wal FROM pg_stat_archiver") >= segment, 60.0)
    copied = run_now("back-up-s3") + run_now("wal-archive-s3")
    lose_the_volumes()
    query(DAMAGE)
    started = time.monotonic()
    deploy("restore", "--base", "--until", moment, "--from-bucket", "--yes", "--timeout", "600")
    record("restore from the bucket", seconds=time.monotonic() - started, copied_seconds=copied)
    assert query("SELECT string_agg(number::text, ',') FROM marks") == "1"
    assert {table: checksum(table) for table in KEPT} == before
    query("DROP TABLE marks")
    asked_until = exchange_now_ms()
    found = wait_for("newer candles", lambda: (now := stored()) and now.last >= newest_closed(asked_until) and now)
    wait_for("a signal", lambda: signal("SPX")[0] == 200, 180.0)
    assert found.wrong() == {}


def lose_the_volumes() -> None:
    """Delete what lies in the volumes of the back-ups and of the archive."""
    kubectl("-n", NAMESPACE, "exec", "postgres-0", "--", "sh", "-c", "rm -f /wal-archive/*.gz")
    template = read("-n", NAMESPACE, "cronjob", "back-up-database")["spec"]["jobTemplate"]
    (container,) = template["spec"]["template"]["spec"]["containers"]
    container["command"] = ["sh", "-c", "rm -rf /back-up/* && ls -A /back-up"]
    name = f"lose-{int(time.time())}"
    metadata = {"name": name, "namespace": NAMESPACE}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]}
    kubectl("create", "-f", "-", text=json.dumps(job))
    wait_for(name, lambda: read("-n", NAMESPACE, "job", name)["status"].get("succeeded"), 120.0)


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
