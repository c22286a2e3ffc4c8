"""Markets and strategies to measure the signal service with, stored through the code that stores real ones."""

from __future__ import annotations

import time

import numpy as np
import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.backtest.single import backtest_strategy
from alpharay.bus.codec import encode
from alpharay.bus.messages import CandleMessage, DiscoveredStrategy
from alpharay.market.candles import VALUE_COLUMNS, Candles
from alpharay.market.timeframe import last_closed_open_time, timeframe_ms
from alpharay.models.signal_model import SignalModelSettings
from alpharay.models.signal_model_codec import training_id
from alpharay.models.signal_model_training import train_signal_model
from alpharay.store.candle_partitions import ensure_partitions
from alpharay.store.candle_writer import CandleWriter
from alpharay.store.model_registry import activate_model, store_model
from alpharay.store.strategies import store_strategy
from alpharay.strategies.catalogue import CATALOGUE, strategy_named
from alpharay.strategies.codec import strategy_to_json
from alpharay.strategies.strategy import Strategy, strategy_id
from benchmarks.signal_model import drifting_candles

EXCHANGE = "generated"
"""Not the simulated exchange: the age of these candles is measured by this machine's clock."""

QUICK_MODEL = SignalModelSettings(rounds=20, learning_rate=0.1, folds=4, bootstraps=200)
"""What a model costs in a request does not hang on how long it learnt."""

STRATEGIES = ("MACD_CROSSOVER", "PARABOLIC_SAR", "RSI_EMA_CROSSOVER", "DONCHIAN_BREAKOUT", "DOUBLE_EMA_CROSSOVER")


def generated_candles(
    symbol: str, *, bars: int, timeframe: str = "1h", seed: int = 0, end_ms: int | None = None
) -> Candles:
    """Return a seeded random walk whose newest candle is the last closed one (at `end_ms`, or now)."""
    generator = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(generator.normal(0.0, 0.01, bars)))
    opened = np.concatenate([[100.0], close[:-1]])
    spread = np.abs(generator.normal(0.0, 0.003, (2, bars)))
    now_ms = time.time_ns() // 1_000_000 if end_ms is None else end_ms
    last = last_closed_open_time(now_ms, timeframe)
    return Candles(
        exchange=EXCHANGE,
        symbol=symbol,
        timeframe=timeframe,
        open_time=last - np.arange(bars - 1, -1, -1, dtype=np.int64) * timeframe_ms(timeframe),
        open=opened,
        high=np.maximum(opened, close) * (1.0 + spread[0]),
        low=np.minimum(opened, close) * (1.0 - spread[1]),
        close=close,
        volume=generator.uniform(1.0, 10.0, bars),
    )


def store_candles(database_url: str, candles: Candles, *, revision: int = 1) -> None:
    """Write candles as the sink would."""
    rows = zip(candles.open_time.tolist(), *(getattr(candles, name).tolist() for name in VALUE_COLUMNS), strict=True)
    messages = [
        CandleMessage(
            exchange=candles.exchange,
            symbol=candles.symbol,
            timeframe=candles.timeframe,
            open_time=row[0],
            **dict(zip(VALUE_COLUMNS, row[1:], strict=True)),
            revision=revision,
        )
        for row in rows
    ]
    writer = CandleWriter()
    prepared = writer.decode([encode(message) for message in messages])
    with psycopg.connect(database_url) as connection:
        ensure_partitions(connection, prepared.content.months)
        writer.write(connection, prepared.content)


def discovered(
    strategy: Strategy, candles: Candles, *, parameters: dict[str, float] | None = None, train_fraction: float = 0.7
) -> DiscoveredStrategy:
    """Return a strategy as a discovery would announce it, with its real figures before and after the cut."""
    parameters = strategy.defaults if parameters is None else parameters
    cut = int(len(candles) * train_fraction)
    figures = []
    for part in (candles.slice(0, cut), candles.slice(cut, len(candles))):
        metrics = backtest_strategy(strategy, parameters, part).metrics
        names = ("sharpe", "total_return", "max_drawdown", "trades", "win_rate", "profit_factor")
        values = {name: float(getattr(metrics, name)) for name in names}
        figures.append({name: value if np.isfinite(value) else None for name, value in values.items()})
    json = strategy_to_json(strategy)
    identity = strategy_id(json, parameters, candles.symbol, candles.timeframe)
    return DiscoveredStrategy(
        message_id=f"generated:{identity}",
        strategy_id=identity,
        run_id="generated",
        exchange=candles.exchange,
        symbol=candles.symbol,
        timeframe=candles.timeframe,
        strategy_name=strategy.name,
        strategy=json,
        parameters=parameters,
        score=figures[0]["sharpe"] or 0.0,
        objective="sharpe",
        start_time=int(candles.open_time[0]),
        end_time=int(candles.open_time[-1]) + timeframe_ms(candles.timeframe),
        train_end_time=int(candles.open_time[cut]),
        in_sample=figures[0],
        out_of_sample=figures[1],
    )


def store_strategies(connection: Connection[TupleRow], candles: Candles, names: tuple[str, ...] = STRATEGIES) -> None:
    """Store the named strategies of the catalogue with their default parameters for the candles' market."""
    for name in names:
        store_strategy(connection, discovered(strategy_named(name), candles))


def store_market(
    database_url: str,
    symbol: str,
    *,
    bars: int = 2_000,
    timeframe: str = "1h",
    seed: int = 0,
    names: tuple[str, ...] = STRATEGIES,
) -> Candles:
    """Store one generated market with its strategies and return its candles."""
    candles = generated_candles(symbol, bars=bars, timeframe=timeframe, seed=seed)
    store_candles_and_strategies(database_url, candles, names)
    return candles


def store_market_with_model(database_url: str, symbol: str, *, bars: int = 2_500) -> Candles:
    """Store a market that a signal model can learn, its strategies and the model, which speaks; return its candles."""
    last = last_closed_open_time(time.time_ns() // 1_000_000, "1h")
    start = last - (bars - 1) * timeframe_ms("1h")
    candles = drifting_candles(bars, seed=1, strength=0.6, symbol=symbol, exchange=EXCHANGE, start_ms=start)
    store_candles_and_strategies(database_url, candles, STRATEGIES)
    model = train_signal_model(candles, QUICK_MODEL)
    assert model.card.evidence.promoted, "the model was to speak"
    identity = training_id(candles, QUICK_MODEL)
    with psycopg.connect(database_url) as connection:
        store_model(connection, identity, model)
        activate_model(connection, identity)
    return candles


def store_candles_and_strategies(database_url: str, candles: Candles, names: tuple[str, ...]) -> None:
    """Store a market's candles, and strategies of the catalogue with their default parameters."""
    assert set(names) <= set(CATALOGUE), f"not in the catalogue: {set(names) - set(CATALOGUE)}"
    store_candles(database_url, candles)
    with psycopg.connect(database_url) as connection:
        store_strategies(connection, candles, names)
