"""What the tests of the reports draw: a small search and a small validation, made once."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from alpharay.discovery.report import DiscoveryReport
from alpharay.discovery.search import SearchSettings, discover
from alpharay.market.candles import Candles
from alpharay.strategies.catalogue import strategy_named
from alpharay.validation.configuration import LastGate
from alpharay.validation.validation import Subject, ValidationSettings, validate_strategy, validation_json
from alpharay.validation.walk_forward import WalkForwardSettings

HOUR_MS = 3_600_000
SEARCH = SearchSettings(population=10, generations=3, min_trades=3, top_n=3, seed=2)


@cache
def waves(bars: int = 1_800) -> Candles:
    """Hourly candles that go up and down: a trend follower trades on them."""
    wave = 0.2 * np.sin(2.0 * np.pi * np.arange(bars) / 120)
    close = 100.0 * np.exp(wave + np.random.default_rng(0).normal(0.0, 0.004, bars))
    opened = np.concatenate([close[:1], close[:-1]])
    times = (470_000 + np.arange(bars, dtype=np.int64)) * HOUR_MS
    high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
    return Candles("test", "AAA/USD", "1h", times, opened, high, low, close, np.full(bars, 100.0))


@cache
def searched() -> DiscoveryReport:
    return discover(strategy_named("DOUBLE_EMA_CROSSOVER"), waves(), SEARCH)


@cache
def validated() -> dict[str, Any]:
    """The record of the best champion; read only."""
    report = searched()
    subject = Subject(
        strategy=report.strategy,
        parameters=report.champions[0].parameters,
        search=SEARCH,
        start_time=int(waves().open_time[0]),
        train_end_time=report.parts.train_end_time,
        end_time=int(waves().open_time[-1]) + HOUR_MS,
    )
    settings = ValidationSettings(
        permutations=19,
        walk_forward=WalkForwardSettings(windows=2),
        last_gate=LastGate(min_trades=5, min_days=20, permutations=19, level=0.3),
        sampled_trials=16,
    )
    return validation_json(validate_strategy(subject, waves(), settings))
