"""A large population on a long series stays within a worker's memory, whatever its rules need."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIMIT_MB = 1_500

SCRIPT = """
import resource, sys
import numpy as np
from alpharay.backtest.market import open_market
from alpharay.backtest.population import backtest_population
from alpharay.market.candles import Candles
from alpharay.strategies.catalogue import strategy_named

bars, genomes = 120_000, 1_000
random = np.random.default_rng(1)
close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.001, bars)))
times = np.arange(bars, dtype=np.int64) * 60_000
candles = Candles("test", "A/USD", "1m", times, close, close * 1.001, close * 0.999, close, np.ones(bars))
strategy = strategy_named(sys.argv[1])
low = np.array([item.low for item in strategy.parameters], dtype=float)
high = np.array([item.high for item in strategy.parameters], dtype=float)
drawn = low + random.random((genomes, len(low))) * (high - low)
whole = [type(item).__name__ == "Integer" for item in strategy.parameters]
result = backtest_population(strategy, np.where(whole, np.round(drawn), drawn), open_market(candles))
assert len(result) == genomes
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.parametrize("name", ["SMA_EMA_CROSSOVER", "MACD_CROSSOVER", "BBAND_W_R"])
def test_a_thousand_genomes_on_120000_bars_stay_under_the_limit(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, name], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < LIMIT_MB
