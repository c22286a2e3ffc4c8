"""Retention that was interrupted, or meets another run or a sink, is gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psycopg
import pytest
from candle_stream import wait_until
from conftest import REPOSITORY
from typer.testing import CliRunner
from year_of_candles import (  # noqa: F401 - fixtures are found by their names
    DAYS,
    KEEP,
    MINUTES,
    NOW,
    counts,
    detaching,
    names,
    pool,
    put,
    run,
    settings_of,
    year,
)

import ray_jobs.retain
from alpharay.store import detached_months
from alpharay.store.candle_retention import alone
from alpharay.store.database import DatabasePool
from alpharay.store.detached_months import detach_partition
from ray_jobs.retain import foreseen

pytestmark = pytest.mark.timeout(280)


def retention_is_free(pool: DatabasePool) -> bool:
    with alone(pool) as connection:
        return connection is not None


@pytest.fixture
def half_detached(year: DatabasePool, monkeypatch: pytest.MonkeyPatch) -> DatabasePool:
    """A run that gave up waiting for a long reader: March is half detached."""
    with year.connection() as reader, monkeypatch.context() as patience:
        patience.setattr(detached_months, "DETACH_PATIENCE_S", 1)
        reader.execute("SELECT count(*) FROM candles")
        told = run(year)
        assert told.waiting == ["candles_2025_03"]
        assert told.deleted_candles == {"candles_2025_04": 44}
        assert detaching(year) == ["candles_2025_03"]
        finished = reader.execute("SELECT finished_at FROM candle_retention").fetchall()
        assert finished in ([], [(None,)])
    return year


def test_an_interrupted_detach_is_finished_by_the_next_run(half_detached: DatabasePool) -> None:
    assert foreseen(half_detached, KEEP).dropped_bytes.keys() == {"candles_2025_03"}
    told = run(half_detached)
    assert list(told.dropped_bytes) == ["candles_2025_03"]
    assert told.waiting == []
    assert "candles_2025_03" not in names(half_detached)
    with half_detached.connection() as connection:
        assert connection.execute("SELECT to_regclass('candles_2025_03')").fetchone() == (None,)
        assert connection.execute("SELECT finished_at IS NOT NULL FROM candle_retention").fetchall() == [(True,)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_ended_in_the_midst_of_a_detach_is_gone_on_with(
    year: DatabasePool, database: str, number: signal.Signals
) -> None:
    job = f"import ray_jobs.retain as job; job._now_ms = lambda: {NOW}; job.app([])"
    environment = {**os.environ, "ALPHARAY_DATABASE_URL": database}
    with year.connection() as reader:
        reader.execute("SELECT count(*) FROM candles")
        process = subprocess.Popen(
            [sys.executable, "-c", job], cwd=REPOSITORY, env=environment, text=True, stderr=subprocess.PIPE
        )
        try:
            wait_until(lambda: detaching(year) == ["candles_2025_03"], "the month is being detached", 60)
            process.send_signal(number)
            _, said = process.communicate(timeout=30)
        finally:
            process.kill()
    if number == signal.SIGINT:
        assert process.returncode == 0
        assert "Ctrl-C: what has ended stays so, the next run goes on" in said
    wait_until(lambda: retention_is_free(year), "the dead run's connection is gone")
    run(year)
    assert "candles_2025_03" not in names(year)
    assert counts(year) == {"1d 2025-04": 3, "1d 2025-05": 3, "1m 2025-06": 40, "1m 2026-06": 40}


def test_a_sink_takes_the_place_of_a_half_detached_month(half_detached: DatabasePool) -> None:
    put(half_detached, DAYS, "2025-03-03", 2)
    assert counts(half_detached)["1d 2025-03"] == 2
    assert list(run(half_detached).dropped_bytes) == ["candles_2025_03"]
    assert counts(half_detached)["1d 2025-03"] == 2


def test_a_sink_waits_for_retention_where_it_takes_the_month_away(half_detached: DatabasePool) -> None:
    with alone(half_detached), pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match=r"ray_jobs\.retain"):
        put(half_detached, DAYS, "2025-03-03", 2)


def test_a_run_that_died_before_the_drop_is_finished_and_what_a_person_detached_stays(year: DatabasePool) -> None:
    with alone(year) as connection:
        assert connection is not None
        assert detach_partition(connection, "candles_2025_03")
        connection.execute("ALTER TABLE candles DETACH PARTITION candles_2025_06 CONCURRENTLY")
    told = run(year)
    assert list(told.dropped_bytes) == ["candles_2025_03"]
    with year.connection() as connection:
        assert connection.execute("SELECT count(*) FROM candles_2025_06").fetchone() == (40,)
    # Its name is taken, its month is not.
    put(year, MINUTES, "2025-06-02", 5)
    assert counts(year)["1m 2025-06"] == 5
    assert "candles_2025_06_2" in names(year)


def test_a_second_run_at_the_same_time_does_nothing(
    year: DatabasePool, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALPHARAY_DATABASE_URL", database)
    monkeypatch.setattr(ray_jobs.retain, "settings", lambda: settings_of(database))
    before = counts(year)
    with alone(year) as held:
        assert held is not None
        result = CliRunner().invoke(ray_jobs.retain.app, [])
    assert result.exit_code == 0, result.output
    assert "another run of retention is under way" in result.stderr
    assert counts(year) == before
