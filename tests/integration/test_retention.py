"""Old candles and old bookkeeping end, on a real PostgreSQL, while others read and write."""

from __future__ import annotations

import json
import threading
from datetime import date

import psycopg
import pytest
from candle_stream import wait_until
from test_run_queue import request
from typer.testing import CliRunner
from year_of_candles import (  # noqa: F401 - fixtures are found by their names
    AHEAD,
    DAYS,
    KEEP,
    MINUTES,
    counts,
    detaching,
    everything,
    ms,
    names,
    pool,
    put,
    run,
    settings_of,
    year,
)

import ray_jobs.retain
from alpharay.market.timeframe import DAY_MS
from alpharay.store.candle_partitions import ensure_partitions
from alpharay.store.candle_rows import Market
from alpharay.store.checkpoints import StoredCheckpoint, save_checkpoints
from alpharay.store.database import DatabasePool
from alpharay.store.ended_candles import delete_some
from alpharay.store.runs import claim_runs, enqueue_run
from ray_jobs.retain import Keep, Retained, foreseen

pytestmark = pytest.mark.timeout(280)


def test_a_month_of_short_candles_is_dropped_and_a_mixed_one_keeps_its_days(year: DatabasePool) -> None:
    told = run(year)
    assert list(told.dropped_bytes) == ["candles_2025_03"]
    assert told.dropped_bytes["candles_2025_03"] > 0
    assert told.deleted_candles == {"candles_2025_04": 44}
    assert told.made == AHEAD
    assert told.kept_from == {"live": "2025-06-01"}
    assert counts(year) == {"1d 2025-04": 3, "1d 2025-05": 3, "1m 2025-06": 40, "1m 2026-06": 40}
    assert names(year) == ["candles_2025_04", "candles_2025_05", "candles_2025_06", "candles_2026_06", *AHEAD]


def test_a_second_run_changes_nothing(year: DatabasePool) -> None:
    run(year)
    before = everything(year)
    told = run(year)
    after = everything(year)
    # When it last ended is all that is new.
    assert [row[:3] for row in after.pop("candle_retention")] == [row[:3] for row in before.pop("candle_retention")]
    assert before == after
    assert (told.made, told.dropped_bytes, told.deleted_candles, told.moved_starts) == ([], {}, {}, 0)
    assert told.waiting == told.rewritten == []


def test_a_dry_run_says_what_the_run_does_and_changes_nothing(year: DatabasePool) -> None:
    before = everything(year)
    said = foreseen(year, KEEP)
    assert everything(year) == before
    done = run(year)
    assert (said.dry_run, done.dry_run) == (True, False)
    assert said.made == done.made
    assert said.dropped_bytes.keys() == done.dropped_bytes.keys()
    assert said.deleted_candles == done.deleted_candles
    assert (said.kept_from, said.records) == (done.kept_from, done.records)


def test_nothing_ends_when_all_is_kept_or_nothing_is_stored(year: DatabasePool) -> None:
    before = counts(year)
    told = run(year, Keep(candle_days=0, shorter_than=DAY_MS, backtest_days=0, months_ahead=0))
    assert counts(year) == before
    assert told.kept_from == {"live": None}
    with year.connection() as connection:
        connection.execute("DELETE FROM candles")
    assert run(year).kept_from == {}


def test_an_empty_month_goes_when_it_is_old(pool: DatabasePool) -> None:
    with pool.connection() as connection:
        ensure_partitions(connection, (date(2025, 5, 1), date(2025, 6, 1)))
    put(pool, DAYS, "2026-06-01", 1)
    assert list(run(pool).dropped_bytes) == ["candles_2025_05"]


def test_a_replay_of_old_years_keeps_its_last_days(year: DatabasePool) -> None:
    replay = Market("simulated", "AAA/USD", "1m")
    put(year, replay, "2019-01-20", 10)
    put(year, replay, "2020-02-20", 10)
    told = run(year)
    assert told.kept_from == {"live": "2025-06-01", "simulated": "2019-02-01"}
    assert counts(year)["1m 2020-02"] == 10
    assert "1m 2019-01" not in counts(year)


def test_longer_candles_end_too_when_the_bound_is_higher(year: DatabasePool) -> None:
    run(year, Keep(candle_days=365, shorter_than=2 * DAY_MS, backtest_days=0, months_ahead=0))
    assert counts(year) == {"1m 2025-06": 40, "1m 2026-06": 40}
    assert names(year) == ["candles_2025_06", "candles_2026_06"]


def test_a_late_message_of_a_dropped_month_is_stored_and_ends_again(year: DatabasePool) -> None:
    run(year)
    put(year, MINUTES, "2025-03-05", 3)
    assert counts(year)["1m 2025-03"] == 3
    assert list(run(year).dropped_bytes) == ["candles_2025_03"]
    assert "1m 2025-03" not in counts(year)


def test_a_day_that_a_sink_writes_into_a_month_on_its_way_out_stays(year: DatabasePool) -> None:
    done: list[Retained] = []
    thread = threading.Thread(target=lambda: done.append(run(year)))
    with year.connection() as connection:
        # Not committed: the plan cannot see it.
        connection.execute(
            "INSERT INTO candles VALUES ('live', 'AAA/USD', '1d', %s, 1, 1, 1, 1, 1, 1)", (ms("2025-03-02"),)
        )
        thread.start()
        wait_until(lambda: detaching(year) == ["candles_2025_03"], "the month is being detached")
    thread.join(60)
    assert list(done[0].dropped_bytes) == ["candles_2025_03"]
    assert counts(year)["1d 2025-03"] == 1
    assert "1m 2025-03" not in counts(year)
    # It lives in a partition of the same month, which the next run leaves alone.
    assert run(year).dropped_bytes == {}
    assert counts(year)["1d 2025-03"] == 1


def test_candles_are_deleted_some_at_a_time_oldest_first(year: DatabasePool) -> None:
    gone = []
    after: int | None = 0
    while after is not None:
        with year.connection() as connection:
            count, after = delete_some(connection, "candles_2025_04", MINUTES, after_ms=after, limit=15)
        gone.append(count)
    assert gone == [15, 15, 10]
    assert counts(year)["1d 2025-04"] == 3


def test_sinks_write_on_while_months_end(year: DatabasePool) -> None:
    put(year, MINUTES, "2025-04-10", 25_000)
    stop, written = threading.Event(), []

    def write() -> None:
        while not stop.is_set():
            day = f"2025-0{3 + len(written) % 2}-{1 + len(written) % 27:02d}"
            try:
                put(year, Market("live", f"S{len(written)}/USD", "1d"), day, 1)
                put(year, MINUTES, "2026-06-15T11:00", 40, close=2.0 + len(written), revision=2 + len(written))
            except psycopg.Error:
                # What a sink does too: the batch is written again.
                continue
            written.append(day)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        wait_until(lambda: len(written) > 3, "the sink writes")
        for _ in range(3):
            run(year)
        before = len(written)
        wait_until(lambda: len(written) > before + 3, "the sink goes on")
    finally:
        stop.set()
        thread.join(60)
    stored = counts(year)
    assert stored["1d 2025-03"] + stored["1d 2025-04"] == len(written) + 3
    assert stored["1m 2026-06"] == 40
    assert not {"1m 2025-03", "1m 2025-04", "1h 2025-03"} & stored.keys()


def test_the_job_says_what_it_did(year: DatabasePool, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_jobs.retain, "settings", lambda: settings_of(database))
    said = CliRunner().invoke(ray_jobs.retain.app, ["--dry-run"])
    assert said.exit_code == 0, said.output
    assert "live: short candles are kept from 2025-06-01 on" in said.stdout
    assert "44 candles deleted, the longer ones kept" in said.stdout
    assert "dropped whole" in said.stdout
    done = json.loads(CliRunner().invoke(ray_jobs.retain.app, ["--json"]).stdout)
    assert list(done["dropped_bytes"]) == ["candles_2025_03"]
    assert done["deleted_candles"] == {"candles_2025_04": 44}
    again = CliRunner().invoke(ray_jobs.retain.app, [])
    assert "no month is over, and the next ones are there" in again.stdout


def test_the_space_of_deleted_candles_is_given_back(year: DatabasePool) -> None:
    put(year, MINUTES, "2025-04-01", 25_000)
    told = run(year)
    assert told.deleted_candles == {"candles_2025_04": 25_004}
    assert told.rewritten == ["candles_2025_04"]
    with year.connection() as connection:
        assert connection.execute("SELECT pg_relation_size('candles_2025_04') < 100000").fetchone() == (True,)
    assert counts(year)["1d 2025-04"] == 3
    assert run(year).rewritten == []


def test_bookkeeping_ends_and_nothing_that_is_open(pool: DatabasePool) -> None:
    with pool.connection() as connection:
        for run_id in ("open", "exhausted", "recent"):
            enqueue_run(connection, request(run_id))
        leases = {one.run_id: one for one in claim_runs(connection, "worker", limit=3)}
        save_checkpoints(connection, [(one.lease, StoredCheckpoint(1, b"state")) for one in leases.values()])
        # As the queue ends a run whose workers vanished.
        connection.execute("UPDATE discovery_runs SET status = 'FAILED' WHERE run_id IN ('exhausted', 'recent')")
        connection.execute(
            "UPDATE discovery_checkpoints SET updated_at = now() - interval '15 days' WHERE run_id <> 'recent'"
        )
        connection.execute(
            "INSERT INTO outbox (message_id, topic, key, value, created_at, published_at) VALUES "
            "('old', 't', 'k', '{}', now() - interval '30 days', now() - interval '15 days'), "
            "('waits', 't', 'k', '{}', now() - interval '30 days', NULL), "
            "('new', 't', 'k', '{}', now() - interval '30 days', now() - interval '13 days')"
        )
        connection.execute(
            "INSERT INTO consumed_messages VALUES ('c', 'old', now() - interval '15 days'), ('c', 'new', now())"
        )
        connection.execute(
            "INSERT INTO backtests (request_id, request, status, created_at, finished_at) VALUES "
            "('old', '{}', 'DONE', now() - interval '1 year', now() - interval '181 days'), "
            "('waits', '{}', 'QUEUED', now() - interval '1 year', NULL), "
            "('new', '{}', 'FAILED', now() - interval '1 year', now() - interval '179 days')"
        )
    expected = {"published messages": 1, "ids of messages": 1, "checkpoints of ended runs": 1, "backtests": 1}
    assert foreseen(pool, KEEP).records == expected
    assert run(pool).records == expected
    with pool.connection() as connection:
        for table, key, left in (
            ("discovery_checkpoints", "run_id", ["open", "recent"]),
            ("outbox", "message_id", ["new", "waits"]),
            ("consumed_messages", "message_id", ["new"]),
            ("backtests", "request_id", ["new", "waits"]),
            ("discovery_runs", "run_id", ["exhausted", "open", "recent"]),
        ):
            assert [row[0] for row in connection.execute(f"SELECT {key} FROM {table} ORDER BY 1")] == left
