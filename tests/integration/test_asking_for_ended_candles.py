"""Repair, windows and requests know what retention has ended."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from candle_stream import wait_until
from test_run_queue import champion, request
from year_of_candles import (  # noqa: F401 - fixtures are found by their names
    DAYS,
    HOURS,
    KEPT_FROM,
    MINUTES,
    NOW,
    ms,
    pool,
    run,
    year,
)

from alpharay.bus.messages import BacktestRequest, CandleMessage
from alpharay.feeds.backfill import CandleAnswer
from alpharay.feeds.ingestion import MarketIngestion
from alpharay.market.timeframe import DAY_MS, timeframe_ms
from alpharay.store.backtests import backtest_state, claim_backtest, enqueue_backtest
from alpharay.store.database import DatabasePool
from alpharay.store.ingested_markets import absent_ranges, record_absent, want_market, wanted_markets
from alpharay.store.kept_candles import CandlesEndedError, KeptCandles, decide, kept_from, require_kept
from alpharay.store.runs import enqueue_run, run_state
from ray_jobs.queued_backtests import run_backtest
from ray_jobs.queued_discovery import work_queue
from ray_jobs.request_discovery import make_requests
from ray_jobs.retain import Keep

pytestmark = pytest.mark.timeout(280)


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
