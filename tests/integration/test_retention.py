"""Old candles and old bookkeeping end, on a real PostgreSQL, while others read and write."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime

import msgspec
import psycopg
import pytest
from candle_stream import wait_until
from conftest import REPOSITORY
from test_run_queue import champion, request
from typer.testing import CliRunner

import ray_jobs.retain
from alpharay.bus.messages import BacktestRequest, CandleMessage
from alpharay.feeds.backfill import CandleAnswer
from alpharay.feeds.ingestion import MarketIngestion
from alpharay.market.timeframe import DAY_MS, timeframe_ms
from alpharay.store import detached_months
from alpharay.store.backtests import backtest_state, claim_backtest, enqueue_backtest
from alpharay.store.candle_partitions import candle_partitions, ensure_partitions
from alpharay.store.candle_retention import alone
from alpharay.store.candle_rows import Market
from alpharay.store.candle_writer import CandleWriter
from alpharay.store.checkpoints import StoredCheckpoint, save_checkpoints
from alpharay.store.database import DatabasePool, open_pool
from alpharay.store.detached_months import detach_partition
from alpharay.store.ended_candles import delete_some
from alpharay.store.ingested_markets import absent_ranges, record_absent, want_market, wanted_markets
from alpharay.store.kept_candles import CandlesEndedError, KeptCandles, decide, kept_from, require_kept
from alpharay.store.migrate import migrate
from alpharay.store.runs import claim_runs, enqueue_run, run_state
from ray_jobs.queued_backtests import run_backtest
from ray_jobs.queued_discovery import work_queue
from ray_jobs.request_discovery import make_requests
from ray_jobs.retain import Keep, Retained, foreseen, retain

pytestmark = pytest.mark.timeout(280)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOW = ms("2026-06-15T12:00")
KEPT_FROM = ms("2025-06-01")
KEEP = Keep(candle_days=365, shorter_than=DAY_MS, backtest_days=180, months_ahead=3)
MINUTES = Market("live", "AAA/USD", "1m")
HOURS = Market("live", "BBB/USD", "1h")
DAYS = Market("live", "AAA/USD", "1d")
AHEAD = ["candles_2026_07", "candles_2026_08", "candles_2026_09"]


@pytest.fixture
def pool(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabasePool]:
    """A migrated database at a fixed time."""
    monkeypatch.setattr(ray_jobs.retain, "_now_ms", lambda: NOW)
    migrate(database)
    with open_pool(database, application="test") as pool:
        yield pool


@pytest.fixture
def year(pool: DatabasePool) -> DatabasePool:
    """March 2025 holds short candles alone, April days too, May days alone; June and what is new is kept."""
    put(pool, MINUTES, "2025-03-05", 40)
    put(pool, HOURS, "2025-03-31T20:00", 8)
    put(pool, MINUTES, "2025-04-10", 40)
    put(pool, DAYS, "2025-04-28", 6)
    put(pool, MINUTES, "2025-06-01", 40)
    put(pool, MINUTES, "2026-06-15T11:00", 40)
    return pool


def put(pool: DatabasePool, market: Market, start: str, count: int, close: float = 1.0, revision: int = 1) -> None:
    """Store candles as a sink does."""
    first, length = ms(start), timeframe_ms(market.timeframe)
    messages = [
        CandleMessage(
            **market._asdict(), open_time=first + number * length, open=close, high=close, low=close, close=close,
            volume=1.0, revision=revision,
        )
        for number in range(count)
    ]  # fmt: skip
    writer = CandleWriter()
    batch = writer.decode([msgspec.json.encode(message) for message in messages]).content
    writer.prepare(pool, batch)
    with pool.connection() as connection:
        writer.write(connection, batch)


def run(pool: DatabasePool, keep: Keep = KEEP) -> Retained:
    with alone(pool) as connection:
        assert connection is not None
        return retain(pool, connection, keep)


def counts(pool: DatabasePool) -> dict[str, int]:
    """Return the stored candles by time frame and month."""
    with pool.connection() as connection:
        rows = connection.execute(
            "SELECT timeframe || ' ' || to_char(to_timestamp(open_time / 1000), 'YYYY-MM'), count(*) "
            "FROM candles GROUP BY 1 ORDER BY 1"
        ).fetchall()
    return {row[0]: int(row[1]) for row in rows}


def names(pool: DatabasePool) -> list[str]:
    with pool.connection() as connection:
        return [one.name for one in candle_partitions(connection)]


def everything(pool: DatabasePool) -> dict[str, object]:
    """Return the content of every table that retention may touch, and the tables that there are."""
    tables = ("candles", "candle_retention", "ingested_markets", "absent_candles", "outbox", "backtests")
    with pool.connection() as connection:
        found: dict[str, object] = {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall() for table in tables
        }
        found["relations"] = connection.execute("SELECT relname FROM pg_class ORDER BY 1").fetchall()
    return found


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


class AllMinutes:
    """An exchange that has every candle there could be, and remembers what it was asked for."""

    name = "live"
    page_limit = 1_000

    def __init__(self) -> None:
        self.asked: list[int] = []

    def now_ms(self) -> int:
        return NOW

    def fetch_candles(self, symbol: str, timeframe: str, start_ms: int, limit: int) -> CandleAnswer:  # noqa: ARG002
        self.asked.append(start_ms)
        length = timeframe_ms(timeframe)
        rows = [(start_ms + number * length, 1.0, 1.0, 1.0, 1.0, 1.0) for number in range(limit)]
        return CandleAnswer(rows, NOW)


class Published:
    """A producer that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[CandleMessage] = []

    def publish(self, _topic: str, message: CandleMessage, **_: object) -> None:
        self.messages.append(message)

    def flush(self) -> None:
        pass


@pytest.mark.parametrize("before", [True, False])
def test_repair_does_not_fetch_again_what_has_ended(year: DatabasePool, before: bool) -> None:
    start = ms("2025-03-31")
    with year.connection() as connection:
        assert want_market(connection, HOURS, start) == start
        want_market(connection, DAYS, start)
        connection.execute("UPDATE ingested_markets SET complete_until = %s", (NOW,))

    def ingestion(first: int) -> tuple[MarketIngestion, AllMinutes, Published]:
        source, published = AllMinutes(), Published()
        return (
            MarketIngestion(HOURS, first, source=source, pool=year, producer=published, ingestor="test"),
            source,
            published,
        )

    old = ingestion(start)
    assert run(year).moved_starts == 1
    with year.connection() as connection:
        # A schedule that asks for the old start every minute moves nothing back.
        assert want_market(connection, HOURS, start) == KEPT_FROM
        states = {one.market: one for one in wanted_markets(connection)}
    assert (states[HOURS].start_ms, states[HOURS].complete_until) == (KEPT_FROM, NOW)
    assert states[DAYS].start_ms == start
    # An ingestor that has begun its round before knows the old start.
    market, source, published = old if before else ingestion(states[HOURS].start_ms)
    market.run_round()
    assert min(source.asked) == KEPT_FROM
    assert min(message.open_time for message in published.messages) == KEPT_FROM


def test_more_can_be_kept_later_and_is_fetched_again(year: DatabasePool) -> None:
    run(year)
    run(year, Keep(candle_days=730, shorter_than=DAY_MS, backtest_days=0, months_ahead=0))
    with year.connection() as connection:
        assert want_market(connection, HOURS, ms("2020-01-01")) == ms("2024-06-01")
    run(year, Keep(candle_days=0, shorter_than=DAY_MS, backtest_days=0, months_ahead=0))
    with year.connection() as connection:
        assert want_market(connection, HOURS, ms("2020-01-01")) == ms("2020-01-01")


def test_absences_are_forgotten_where_nothing_is_looked_for(year: DatabasePool) -> None:
    from alpharay.market.gaps import Gap

    gaps = [Gap(ms("2025-04-01"), ms("2025-04-02")), Gap(ms("2025-07-01"), ms("2025-07-02"))]
    with year.connection() as connection:
        record_absent(connection, HOURS, gaps)
        record_absent(connection, DAYS, gaps)
    assert run(year).absent_ranges == 1
    with year.connection() as connection:
        assert absent_ranges(connection, HOURS, start_ms=0, end_ms=NOW) == (gaps[1],)
        assert absent_ranges(connection, DAYS, start_ms=0, end_ms=NOW) == tuple(gaps)


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


def retention_is_free(pool: DatabasePool) -> bool:
    with alone(pool) as connection:
        return connection is not None


def detaching(pool: DatabasePool) -> list[str]:
    with pool.connection() as connection:
        return [one.name for one in candle_partitions(connection) if one.detaching]


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
    monkeypatch.setattr(ray_jobs.retain, "settings", lambda: _settings(database))
    before = counts(year)
    with alone(year) as held:
        assert held is not None
        result = CliRunner().invoke(ray_jobs.retain.app, [])
    assert result.exit_code == 0, result.output
    assert "another run of retention is under way" in result.stderr
    assert counts(year) == before


def test_the_job_says_what_it_did(year: DatabasePool, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_jobs.retain, "settings", lambda: _settings(database))
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


def test_a_window_that_has_ended_is_refused_with_what_is_there(year: DatabasePool) -> None:
    from alpharay.discovery.evaluation import SerialExecutor

    run(year)
    with year.connection() as connection:
        require_kept(connection, HOURS, KEPT_FROM)
        require_kept(connection, DAYS, ms("2025-03-01"))
        with pytest.raises(CandlesEndedError, match=r"live BBB/USD 1h are kept from 2025-06-01 on .* on 2025-03-01"):
            require_kept(connection, HOURS, ms("2025-03-01"))
        window = {"start_time": ms("2025-03-01"), "end_time": NOW}
        enqueue_run(connection, request("run-1", exchange="live", symbol="AAA/USD", timeframe="1m", **window))
        backtest = BacktestRequest(
            request_id="b-1", exchange="live", symbol="AAA/USD", timeframe="1m", strategy_name="SMA_RSI", **window
        )
        enqueue_backtest(connection, backtest)
        claimed = claim_backtest(connection, "test", "b-1")
    assert claimed is not None
    run_backtest(year, claimed)
    work_queue(year, SerialExecutor(), "test", on_run=lambda *_: None)
    with year.connection() as connection:
        for state in (run_state(connection, "run-1"), backtest_state(connection, "b-1")):
            assert state is not None
            assert state.status == "FAILED"
            assert "kept from 2025-06-01 on" in (state.error or "")


def test_a_strategy_of_an_ended_window_is_neither_validated_nor_reported_on_a_part_of_it(year: DatabasePool) -> None:
    from alpharay.discovery.evaluation import SerialExecutor
    from alpharay.store.report_content import strategy_content
    from alpharay.store.strategies import store_strategy
    from alpharay.store.validations import find_strategy
    from alpharay.strategies.catalogue import strategy_named
    from alpharay.strategies.codec import strategy_to_json
    from alpharay.validation.validation import ValidationSettings
    from ray_jobs.strategy_validation import validate_stored

    strategy = strategy_named("SMA_RSI")
    found = champion(
        exchange="live", symbol="AAA/USD", timeframe="1m", strategy=strategy_to_json(strategy),
        parameters=strategy.defaults, start_time=ms("2025-04-01"), train_end_time=ms("2025-05-01"),
        end_time=ms("2025-06-01"),
    )  # fmt: skip
    run(year)
    with year.connection() as connection:
        store_strategy(connection, found)
        stored = find_strategy(connection, found.strategy_id)
        with pytest.raises(CandlesEndedError, match="kept from 2025-06-01 on"):
            strategy_content(connection, stored)
    ended = validate_stored(year, SerialExecutor(), "test", stored, ValidationSettings())
    assert ended.status == "FAILED"
    assert "kept from 2025-06-01 on" in ended.text


def test_requests_ask_for_no_more_than_is_kept(year: DatabasePool) -> None:
    from alpharay.backtest.costs import Costs
    from alpharay.discovery.search import SearchSettings
    from alpharay.strategies.loading import strategies_from

    run(year)
    with year.connection() as connection:
        want_market(connection, MINUTES, KEPT_FROM)
    asked: Sequence[int] = [100, 1_000_000, 2_000_000]
    made = make_requests(year, ["AAA/USD"], "1m", asked, strategies_from("SMA_RSI"), SearchSettings(), Costs())
    assert [one.start_time for one in made] == [made[0].end_time - 100 * 60_000, KEPT_FROM]


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


def test_a_wish_for_older_candles_and_a_decision_wait_for_each_other(year: DatabasePool) -> None:
    run(year)
    decided: list[int] = []

    def later() -> None:
        with year.connection() as connection:
            decided.append(decide(connection, [KeptCandles("live", ms("2025-07-01"), DAY_MS)]))

    thread = threading.Thread(target=later)
    with year.connection() as connection:
        want_market(connection, HOURS, KEPT_FROM)
        thread.start()
        wait_until(lambda: waiting_for_locks(year) == 1, "the decision waits")
    thread.join(60)
    assert decided == [1]
    with year.connection() as connection:
        assert kept_from(connection, HOURS) == ms("2025-07-01")
        assert [one.start_ms for one in wanted_markets(connection)] == [ms("2025-07-01")]


def waiting_for_locks(pool: DatabasePool) -> int:
    with pool.connection() as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def _settings(database: str) -> object:
    from pydantic import SecretStr

    from alpharay.settings import Settings

    return Settings(database_url=SecretStr(database))
