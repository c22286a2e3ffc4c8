"""The snapshot and the state of trading in step with a real database: what is read again, and what is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import msgspec
import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.market.candles import Candles
from alpharay.models.signal_model import SignalModel, SignalModelSettings
from alpharay.models.signal_model_training import train_signal_model
from alpharay.risk.calibration import CalibrationSettings, fit_market, price_history
from alpharay.signals.opinion import Opinion
from alpharay.signals.snapshot import MarketView
from alpharay.store import risk_models
from alpharay.store.accounts import Account, open_account
from alpharay.store.candle_rows import Market
from alpharay.store.migrate import migrate
from alpharay.store.model_registry import activate_model, retire_model, store_model
from alpharay.store.risk_models import ModelKey, RiskModel
from alpharay.store.signal_snapshots import REREAD_ALL_S, SignalSnapshots
from alpharay.store.signal_trading import POSITIONS_EVERY_S, SignalTrading
from alpharay.store.strategies import store_strategy
from alpharay.store.trading_halts import halt, resume
from alpharay.strategies.catalogue import strategy_named
from benchmarks.signal_data import STRATEGIES, discovered, generated_candles, store_candles, store_strategies
from benchmarks.signal_model import drifting_candles

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


def opinion_of(snapshots: SignalSnapshots, name: str) -> Opinion:
    return next(one for one in view_of(snapshots).opinions if one.name == name)


@pytest.fixture(scope="module")
def models() -> list[SignalModel]:
    """Return two models of SOL/USD, whatever they were trained on."""
    settings = SignalModelSettings(rounds=10, learning_rate=0.1, folds=3, bootstraps=200)
    planted = replace(drifting_candles(2_500, seed=1, strength=0.6), exchange="generated", symbol="SOL/USD")
    trained = [train_signal_model(planted, replace(settings, seed=seed)) for seed in range(2)]
    return [replace(one, card=replace(one.card, evidence=replace(one.card.evidence, promoted=True))) for one in trained]


def test_a_model_speaks_when_it_is_active_and_a_broken_one_silences_only_itself(
    database: str, connection: Connection[TupleRow], candles: Candles, models: list[SignalModel]
) -> None:
    store_candles(database, candles)
    store_strategies(connection, candles, STRATEGIES[:2])
    snapshots = SignalSnapshots()
    first = snapshots.refresh(connection)
    assert opinion_of(snapshots, "model").flags == ("abstains", "no_model")
    ids = ["a" * 64, "b" * 64]
    for model_id, model in zip(ids, models, strict=True):
        store_model(connection, model_id, model)
    assert snapshots.refresh(connection) is first
    for model_id in ids:
        activate_model(connection, model_id)
        snapshots.refresh(connection)
        assert view_of(snapshots).model.model_id == model_id
        assert opinion_of(snapshots, "model").flags == ()
    connection.execute("ALTER TABLE signal_models DROP CONSTRAINT signal_models_checksum")
    damage = "UPDATE signal_models SET checksum = repeat('0', 64) WHERE model_id = %s"
    connection.execute(damage, (ids[1],))
    snapshots.refresh(connection)
    assert opinion_of(snapshots, "model").flags == ("abstains", "degraded", "model_unusable")
    assert any(ids[1] in problem and "checksum" in problem for problem in view_of(snapshots).problems)
    assert not opinion_of(snapshots, "strategies").abstains
    retire_model(connection, Market(candles.exchange, candles.symbol, candles.timeframe))
    snapshots.refresh(connection)
    assert opinion_of(snapshots, "model").flags == ("abstains", "no_model")
    assert view_of(snapshots).problems == ()


def test_fitted_states_are_in_the_context_once_they_are_stored(
    database: str, connection: Connection[TupleRow], candles: Candles
) -> None:
    store_candles(database, candles)
    snapshots = SignalSnapshots()
    snapshots.refresh(connection)
    assert view_of(snapshots).context.volatility_model == "ewma"
    fits = fit_market(price_history(candles), candles.timeframe, CalibrationSettings())
    for kind, fit in fits.items():
        key = ModelKey(kind, candles.exchange, candles.symbol, "", candles.timeframe)
        decided_at = int(candles.open_time[-1])
        risk_models.store_model(connection, RiskModel(key=key, state=fit.state, decided_at=decided_at))
    made = snapshots.refresh(connection)
    context = view_of(snapshots).context
    assert context.volatility_model == "garch"
    assert context.change_probability is not None
    assert context.missing == ("sentiment_not_available",)
    assert snapshots.refresh(connection) is made


def test_a_market_without_strategies_keeps_the_newest_candles_for_its_context(
    database: str, connection: Connection[TupleRow], candles: Candles
) -> None:
    store_candles(database, candles.slice(0, 1_400))
    snapshots = SignalSnapshots()
    snapshots.refresh(connection)
    store_candles(database, candles.slice(1_400, 1_500))
    snapshots.refresh(connection)
    fresh = SignalSnapshots()
    fresh.refresh(connection)
    assert view_of(snapshots) == view_of(fresh)
    assert not opinion_of(snapshots, "market_context").abstains


def test_the_state_of_trading_follows_switches_at_once_and_positions_after_seconds(
    database: str, connection: Connection[TupleRow]
) -> None:
    now = [0.0]
    prices = {"BTC/USD": Decimal(100)}
    trading = SignalTrading("desk", lambda: prices, monotonic=lambda: now[0])
    bare = trading.refresh(connection)
    assert (bare.halts, bare.limits, bare.portfolio) == ((), None, None)
    open_account(connection, Account(account_id="desk", kind="paper", currency="USD"))
    opened = trading.refresh(connection)
    assert opened.limits is not None
    assert trading.refresh(connection) is opened
    halt(connection, actor="test", reason="a drill")
    assert trading.refresh(connection).halts == ("all accounts are halted by the kill switch",)
    resume(connection, actor="test", reason="it is over")
    halt(connection, "desk", actor="test", reason="a drill")
    assert "'desk'" in trading.refresh(connection).halts[0]
    resume(connection, "desk", actor="test", reason="it is over")
    assert trading.refresh(connection).halts == ()
    now[0] = POSITIONS_EVERY_S
    valued = trading.refresh(connection)
    assert valued.portfolio is not None
    assert connection.execute("SELECT count(*) FROM account_equity").fetchone() == (0,)
