"""Larger candles are kept beside the smaller ones they are made from, to the bit what resampling gives."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pytest

from alpharay.bus.messages import CandleMessage, DiscoveredStrategy
from alpharay.market.candles import VALUE_COLUMNS, Candles
from alpharay.market.resampling import resample
from alpharay.market.timeframe import DAY_MS
from alpharay.store.candle_rows import Market
from alpharay.store.candle_upsert import CandleBatch
from alpharay.store.candle_writer import CandleWriter
from alpharay.store.candles import load_candles
from alpharay.store.database import DatabasePool, in_transaction, open_pool
from alpharay.store.ingested_markets import want_market
from alpharay.store.kept_candles import KeptCandles, decide
from alpharay.store.migrate import migrate
from alpharay.store.rolled_filling import RolledFilling, fill_market, fill_next
from alpharay.store.rolled_markets import RolledMarket, follow_strategies, registered_markets
from alpharay.store.strategies import store_strategy
from alpharay.store.strategy_status import change_status
from alpharay.strategies.catalogue import strategy_named
from alpharay.strategies.codec import strategy_to_json

pytestmark = pytest.mark.timeout(180)

MINUTE, HOUR = 60_000, 3_600_000
START = 20_000 * DAY_MS
MINUTES = Market("exchange", "AAA/USD", "1m")
HOURS = MINUTES._replace(timeframe="1h")
COLUMNS = ("open_time", *VALUE_COLUMNS)


@pytest.fixture
def pool(database: str) -> Iterator[DatabasePool]:
    migrate(database)
    with open_pool(database, application="test-rolled", max_connections=8) as opened:
        yield opened


def strategy_of(pool: DatabasePool, market: Market, name: str = "DOUBLE_EMA_CROSSOVER") -> str:
    strategy = strategy_named(name)
    identity = f"{name} {' '.join(market)}"
    found = DiscoveredStrategy(
        message_id=f"run/{identity}", strategy_id=identity, run_id="run", **market._asdict(),
        strategy_name=name, strategy=strategy_to_json(strategy), parameters=strategy.defaults, score=1.0,
        start_time=START, end_time=START + 2 * DAY_MS, train_end_time=START + DAY_MS, in_sample={}, out_of_sample={},
    )  # fmt: skip
    with pool.connection() as connection:
        store_strategy(connection, found)
    return identity


def messages(market: Market, times: Any, *, seed: int, revision: int = 1) -> list[CandleMessage]:
    generator = np.random.default_rng(seed)
    found = []
    for time in times:
        first, last, more, less, volume = generator.uniform(90.0, 110.0, 5).tolist()
        found.append(
            CandleMessage(
                **market._asdict(), open_time=int(time), open=first, high=max(first, last, more),
                low=min(first, last, less), close=last, volume=volume, revision=revision,
            )
        )  # fmt: skip
    return found


def put(pool: DatabasePool, batch: list[CandleMessage], writer: CandleWriter | None = None) -> None:
    """Write a batch as the sink does."""
    writer = writer or CandleWriter()
    writer.prepare(pool, decoded(writer, batch))
    write(pool, batch, writer)


def write(pool: DatabasePool, batch: list[CandleMessage], writer: CandleWriter | None = None) -> None:
    """Write a batch as a sink does that looks for new markets later."""
    writer = writer or CandleWriter()
    with pool.connection() as connection:
        writer.write(connection, decoded(writer, batch))


def decoded(writer: CandleWriter, batch: list[CandleMessage]) -> CandleBatch:
    prepared = writer.decode([msgspec.json.encode(message) for message in batch])
    assert not prepared.refusals
    return prepared.content


def stored(pool: DatabasePool, market: Market) -> Candles:
    with pool.connection() as connection:
        return load_candles(connection, market)


def rolled(pool: DatabasePool) -> dict[Market, RolledMarket]:
    with pool.connection() as connection:
        return {one.market: one for one in registered_markets(connection)}


def revisions(pool: DatabasePool, market: Market) -> dict[int, tuple[Any, ...]]:
    with pool.connection() as connection:
        rows = connection.execute(
            "SELECT open_time, revision, open, high, low, close, volume FROM candles "
            "WHERE exchange = %s AND symbol = %s AND timeframe = %s",
            tuple(market),
        ).fetchall()
    return {row[0]: row[1:] for row in rows}


def follow(pool: DatabasePool) -> list[Market]:
    return in_transaction(pool, follow_strategies)


def assert_in_step(pool: DatabasePool, source: Market, *timeframes: str) -> None:
    """Assert that the larger candles are to the bit what `resample` makes of the stored smaller ones."""
    smaller = stored(pool, source)
    for timeframe in timeframes:
        made, expected = stored(pool, source._replace(timeframe=timeframe)), resample(smaller, timeframe)
        for name in COLUMNS:
            np.testing.assert_array_equal(getattr(made, name), getattr(expected, name), err_msg=f"{timeframe} {name}")


def with_gaps(generator: np.random.Generator, count: int) -> np.ndarray:
    """Return minutes of which some are missing, one by one and for hours."""
    there = generator.random(count) < 0.9
    for start in generator.integers(0, count, 6):
        there[start : start + int(generator.integers(30, 400))] = False
    return START + np.flatnonzero(there) * MINUTE


@pytest.mark.parametrize("seed", range(4))
def test_after_every_batch_in_any_order_the_larger_candles_are_those_of_resample(pool: DatabasePool, seed: int) -> None:
    generator = np.random.default_rng(seed)
    times = with_gaps(generator, 4_000)
    batches: list[np.ndarray] = np.array_split(times, 12)
    # Pages that come late, candles one by one, corrections with newer and older revisions.
    order = generator.permutation(12) if seed % 2 else np.arange(12)
    parts = [(batches[place], 10) for place in order]
    for _ in range(12):
        again = generator.choice(times, int(generator.integers(1, 40)), replace=False)
        parts.insert(int(generator.integers(1, len(parts))), (again, int(generator.integers(5, 20))))
    put(pool, messages(MINUTES, parts[0][0], seed=100))
    for timeframe in ("15m", "1h", "1d"):
        strategy_of(pool, MINUTES._replace(timeframe=timeframe))
    for market in follow(pool):
        fill_market(pool, market)
    writer, before = CandleWriter(), {}
    for number, (part, revision) in enumerate(parts[1:]):
        put(pool, messages(MINUTES, part, seed=number, revision=revision), writer)
        assert_in_step(pool, MINUTES, "15m", "1h", "1d")
        after = revisions(pool, HOURS)
        for time, (first, *values) in before.items():
            assert first <= after[time][0], "a revision never falls"
            assert (first == after[time][0]) == (values == list(after[time][1:])), "and grows with the values only"
        before = after
    assert len(before) > 20
    assert all(one.filling_from is None for one in rolled(pool).values())


def test_candles_longer_than_a_day_open_in_months_of_which_nothing_else_is_stored(pool: DatabasePool) -> None:
    weeks = MINUTES._replace(timeframe="28d")
    month = START // (28 * DAY_MS) * 28 * DAY_MS
    put(pool, messages(MINUTES, [month - 100 * DAY_MS], seed=1))
    strategy_of(pool, weeks)
    follow(pool)
    put(pool, messages(MINUTES, [month + 27 * DAY_MS, month + 90 * DAY_MS], seed=2))
    assert_in_step(pool, MINUTES, "28d")
    assert stored(pool, weeks).open_time.tolist() == [month]


def test_without_strategies_that_want_it_nothing_is_looked_up_nor_made(
    pool: DatabasePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("locked_markets", "stored_ends", "kept_candles", "_read_ranges"):
        monkeypatch.setattr(f"alpharay.store.rolled_candles.{name}", None)
    put(pool, messages(MINUTES, START + np.arange(180) * MINUTE, seed=1))
    identity = strategy_of(pool, HOURS)
    with pool.connection() as connection:
        change_status(connection, identity, "REJECTED", actor="test", reason="for this test")
    strategy_of(pool, MINUTES)
    strategy_of(pool, Market("exchange", "BBB/USD", "1h"))
    assert follow(pool) == []
    put(pool, messages(MINUTES, START + np.arange(180, 240) * MINUTE, seed=2))
    assert rolled(pool) == {}
    assert len(stored(pool, HOURS)) == 0


def test_the_sink_fills_bit_by_bit_and_score_fills_to_the_end(pool: DatabasePool) -> None:
    put(pool, messages(MINUTES, START + np.arange(1_000) * MINUTE, seed=1))
    strategy_of(pool, HOURS)
    now = [0.0]

    def clock() -> float:
        now[0] += 1.0
        return now[0]

    filling = RolledFilling(clock=clock)
    filling.go_on(pool)
    assert_in_step(pool, MINUTES, "1h")
    assert rolled(pool)[HOURS].filling_from is None
    with pool.connection() as connection:
        # A sink of an older version wrote these.
        connection.execute("DELETE FROM candles WHERE timeframe = '1h' AND open_time >= %s", (START + 8 * HOUR,))
    fill_market(pool, HOURS)
    assert_in_step(pool, MINUTES, "1h")
    before = revisions(pool, HOURS)
    fill_market(pool, HOURS)
    assert revisions(pool, HOURS) == before


def test_while_it_is_filled_a_market_grows_from_its_beginning(
    pool: DatabasePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alpharay.store.rolled_filling.SMALLER_AT_ONCE", 120)
    put(pool, messages(MINUTES, START + np.arange(1_000) * MINUTE, seed=1))
    strategy_of(pool, HOURS)
    assert follow(pool) == [HOURS]
    seen = []
    while not in_transaction(pool, partial(fill_next, market=HOURS)):
        # What comes meanwhile is not put behind a hole, and a correction of what is made is made.
        came = messages(MINUTES, [START, START + (1_000 + len(seen)) * MINUTE], seed=len(seen), revision=len(seen) + 2)
        write(pool, came)
        seen.append(stored(pool, HOURS).open_time.tolist())
        assert seen[-1] == [START + number * HOUR for number in range(len(seen[-1]))]
    assert [len(one) for one in seen[:3]] == [2, 4, 6]
    assert_in_step(pool, MINUTES, "1h")


def test_many_writers_and_fillers_at_once_do_no_harm(pool: DatabasePool) -> None:
    put(pool, messages(MINUTES, START + np.arange(500) * MINUTE, seed=1))
    for timeframe in ("5m", "1h"):
        strategy_of(pool, MINUTES._replace(timeframe=timeframe))
    failures: list[BaseException] = []

    def publish(number: int) -> None:
        generator, writer = np.random.default_rng(number), CandleWriter()
        for turn in range(6):
            first = 500 + 300 * turn
            times = START + generator.choice(np.arange(first - 400, first + 300), 200, replace=False) * MINUTE
            put(pool, messages(MINUTES, times, seed=number * 10 + turn, revision=number * 10 + turn), writer)

    def fill() -> None:
        for _ in range(6):
            follow(pool)
            fill_market(pool, HOURS)

    def guarded(work: Any, *values: Any) -> None:
        try:
            work(*values)
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(publish, number)) for number in range(3)]
    threads += [threading.Thread(target=guarded, args=(fill,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert not failures
    assert_in_step(pool, MINUTES, "5m", "1h")


def test_what_the_exchange_delivers_is_never_overwritten_and_rolling_goes_on_behind_it(pool: DatabasePool) -> None:
    put(pool, messages(MINUTES, START + np.arange(300) * MINUTE, seed=1))
    strategy_of(pool, HOURS)
    follow(pool)
    fill_market(pool, HOURS)
    with pool.connection() as connection:
        want_market(connection, HOURS, START)
    own = messages(HOURS, [START, START + HOUR], seed=2, revision=1_000)
    put(pool, own)
    assert rolled(pool) == {}
    put(pool, messages(MINUTES, START + np.arange(10) * MINUTE, seed=3, revision=2_000))
    assert follow(pool) == []
    with pool.connection() as connection:
        connection.execute("UPDATE ingested_markets SET enabled = false")
    follow(pool)
    fill_market(pool, HOURS)
    put(pool, messages(MINUTES, START + np.arange(5, 500) * MINUTE, seed=4, revision=3_000))
    hours, expected = stored(pool, HOURS), resample(stored(pool, MINUTES), "1h")
    assert hours.close[:2].tolist() == [one.close for one in own]
    assert rolled(pool)[HOURS].since == START + 5 * HOUR
    np.testing.assert_array_equal(hours.between(START + 5 * HOUR, START + DAY_MS).close, expected.close[5:])


def test_a_market_that_is_wanted_again_is_made_as_if_it_had_always_been(pool: DatabasePool) -> None:
    put(pool, messages(MINUTES, START + np.arange(300) * MINUTE, seed=1))
    identity = strategy_of(pool, HOURS)
    follow(pool)
    fill_market(pool, HOURS)
    with pool.connection() as connection:
        change_status(connection, identity, "RETIRED", actor="test", reason="for this test")
    assert follow(pool) == []
    put(pool, messages(MINUTES, START + np.arange(30, 400) * MINUTE, seed=2, revision=9))
    assert len(stored(pool, HOURS)) == 5
    strategy_of(pool, HOURS, "MACD_CROSSOVER")
    assert follow(pool) == [HOURS]
    fill_market(pool, HOURS)
    assert_in_step(pool, MINUTES, "1h")


def test_what_retention_has_ended_is_not_made_anew_and_what_was_made_of_it_stays(pool: DatabasePool) -> None:
    days = MINUTES._replace(timeframe="4d")
    put(pool, messages(MINUTES, START + np.arange(0, 12 * DAY_MS, 10 * MINUTE), seed=1))
    for market in (HOURS, days):
        strategy_of(pool, market)
    for market in follow(pool):
        fill_market(pool, market)
    before = revisions(pool, HOURS), revisions(pool, days)
    cut = START + 5 * DAY_MS
    with pool.connection() as connection:
        decide(connection, [KeptCandles("exchange", cut, DAY_MS)])
        # Some of what is over has gone, some is still there.
        connection.execute(
            "DELETE FROM candles WHERE timeframe = '1m' AND open_time < %s", (START + 2 * DAY_MS + 30 * MINUTE,)
        )
    late = START + np.arange(4 * DAY_MS, 6 * DAY_MS, 30 * MINUTE)
    put(pool, messages(MINUTES, late, seed=2, revision=9))
    hours, longer = revisions(pool, HOURS), revisions(pool, days)
    assert {time: hours[time] for time in hours if time < cut} == {
        time: values for time, values in before[0].items() if time < cut
    }
    assert hours[cut] != before[0][cut]
    # The candle that began before the cut has lost its beginning; it stays what it was.
    assert {time: longer[time] for time in before[1]} == before[1]
