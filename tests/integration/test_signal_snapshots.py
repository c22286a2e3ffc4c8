"""The snapshot in step with a real database: what is read again, and what is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import msgspec
import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.market.candles import Candles
from alpharay.signals.snapshot import MarketView
from alpharay.store.migrate import migrate
from alpharay.store.signal_snapshots import REREAD_ALL_S, SignalSnapshots
from alpharay.store.strategies import store_strategy
from alpharay.strategies.catalogue import strategy_named
from benchmarks.signal_data import STRATEGIES, discovered, generated_candles, store_candles, store_strategies

END_MS = 480_000 * 3_600_000


@pytest.fixture
def connection(database: str) -> Iterator[Connection[TupleRow]]:
    migrate(database)
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def candles() -> Candles:
    return generated_candles("SOL/USD", bars=1_500, end_ms=END_MS)


def view_of(snapshots: SignalSnapshots, symbol: str = "SOL/USD") -> MarketView:
    view = snapshots.snapshot.find(symbol)
    assert view is not None
    return view


def test_an_empty_database_is_an_empty_snapshot(connection: Connection[TupleRow]) -> None:
    assert SignalSnapshots().refresh(connection).symbols() == ()


def test_nothing_new_is_the_same_object(database: str, connection: Connection[TupleRow], candles: Candles) -> None:
    store_candles(database, candles)
    store_strategies(connection, candles)
    snapshots = SignalSnapshots()
    first = snapshots.refresh(connection)
    assert len(view_of(snapshots).strategies) == len(STRATEGIES)
    assert snapshots.refresh(connection) is first


def test_candles_read_as_they_come_give_what_a_fresh_reader_gets(
    database: str, connection: Connection[TupleRow], candles: Candles
) -> None:
    store_candles(database, candles.slice(0, 1_300))
    store_strategies(connection, candles)
    snapshots = SignalSnapshots()
    snapshots.refresh(connection)
    for start, stop in ((1_300, 1_301), (1_301, 1_420), (1_420, 1_500)):
        store_candles(database, candles.slice(start, stop))
        snapshots.refresh(connection)
        fresh = SignalSnapshots()
        fresh.refresh(connection)
        assert view_of(snapshots) == view_of(fresh)
        assert view_of(snapshots).candles == stop


def test_a_strategy_that_starts_earlier_brings_its_candles_with_it(
    database: str, connection: Connection[TupleRow], candles: Candles
) -> None:
    store_candles(database, candles)
    late = candles.slice(900, 1_500)
    store_strategy(connection, discovered(strategy_named("MACD_CROSSOVER"), late))
    snapshots = SignalSnapshots()
    snapshots.refresh(connection)
    assert view_of(snapshots).candles == 600
    store_strategy(connection, discovered(strategy_named("PARABOLIC_SAR"), candles))
    snapshots.refresh(connection)
    assert view_of(snapshots).candles == 1_500
    assert len(view_of(snapshots).strategies) == 2


def test_a_corrected_candle_counts_with_the_next_one_and_a_deep_repair_after_a_while(
    database: str, connection: Connection[TupleRow], candles: Candles
) -> None:
    now = [0.0]
    store_candles(database, candles.slice(0, 1_400))
    store_strategies(connection, candles)
    snapshots = SignalSnapshots(monotonic=lambda: now[0])
    snapshots.refresh(connection)
    corrected = replace(candles, close=candles.close * 1.0001).slice(1_390, 1_401)
    store_candles(database, corrected, revision=2)
    snapshots.refresh(connection)
    assert view_of(snapshots).close == float(corrected.close[-1])
    connection.execute("DELETE FROM candles WHERE open_time = %s", (int(candles.open_time[5]),))
    snapshots.refresh(connection)
    assert view_of(snapshots).candles == 1_401
    now[0] = REREAD_ALL_S
    snapshots.refresh(connection)
    assert view_of(snapshots).candles == 1_400


def test_a_strategy_that_this_code_cannot_read_is_left_out_and_named(
    database: str, connection: Connection[TupleRow], candles: Candles
) -> None:
    store_candles(database, candles)
    store_strategies(connection, candles, STRATEGIES[:2])
    unknown = discovered(strategy_named("PARABOLIC_SAR"), candles)
    rules = msgspec.json.decode(msgspec.json.encode(unknown.strategy).replace(b'"parabolic_sar"', b'"from_the_future"'))
    assert rules != unknown.strategy
    store_strategy(connection, msgspec.structs.replace(unknown, strategy=rules, strategy_id="f" * 64))
    snapshots = SignalSnapshots()
    snapshots.refresh(connection)
    assert len(view_of(snapshots).strategies) == 2
    assert any("from_the_future" in problem for problem in view_of(snapshots).problems)


def test_a_retired_strategy_speaks_no_more_and_a_market_that_is_gone_is_gone(
    database: str, connection: Connection[TupleRow], candles: Candles
) -> None:
    store_candles(database, candles)
    store_candles(database, replace(candles, symbol="BTC/USD"))
    store_strategies(connection, candles, STRATEGIES[:2])
    snapshots = SignalSnapshots()
    assert snapshots.refresh(connection).symbols() == ("BTC/USD", "SOL/USD")
    connection.execute("UPDATE strategies SET status = 'RETIRED' WHERE strategy_name = %s", (STRATEGIES[0],))
    connection.execute("DELETE FROM candles WHERE symbol = 'BTC/USD'")
    assert snapshots.refresh(connection).symbols() == ("SOL/USD",)
    assert [one.name for one in view_of(snapshots).strategies] == [STRATEGIES[1]]
