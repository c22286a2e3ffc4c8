"""What one generation of each strategy of the catalogue costs, its indicators included.

    python -m benchmarks.catalogue --candles BTC-USD_1m.parquet --json

Work: a random population of each strategy on the file's first bars, from bare price tables: no indicator is there
before the clock starts. `ns_per_bar_backtest` is that time over bars times population, the median of the rounds;
`columns` is the part that a second evaluation on the same market does not need any more: computing and storing the
indicators. `worst_to_median` is the dearest strategy's time over the median one's. One thread; seconds are those that
the process had a core for, so that neighbours on a shared machine count only by the caches they take.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alpharay.backtest.columns import ColumnSlab
from alpharay.backtest.market import MEMORY_BUDGET, Market
from alpharay.backtest.population import backtest_population
from alpharay.backtest.tables import PriceTables, price_tables
from alpharay.discovery.search_space import random_population, search_space
from alpharay.market.candles import Candles, FloatArray
from alpharay.market.files import read_candles
from alpharay.strategies.catalogue import CATALOGUE, strategy_named
from alpharay.strategies.strategy import Strategy
from benchmarks.random_walk import random_walk
from benchmarks.report import Figures, machine, median, peak_memory_mb, report, versions


def population(strategy: Strategy, rows: int) -> FloatArray:
    """Return the same random population in every run."""
    return random_population(search_space(strategy), rows, np.random.default_rng(0))


def time_strategy(strategy: Strategy, genomes: FloatArray, tables: PriceTables, rounds: int) -> Figures:
    """Return what one evaluation of `genomes` costs, from bare price tables and again on the same market."""
    to_nanoseconds = 1e9 / len(genomes) / len(tables)
    cold, warm, trades = [], [], 0.0
    for _ in range(rounds):
        market = Market(tables, ColumnSlab(len(tables), MEMORY_BUDGET))
        for times in (cold, warm):
            start = time.process_time()
            result = backtest_population(strategy, genomes, market)
            times.append(time.process_time() - start)
        trades = float(result.metric("trades").mean())
    whole = median(cold) * to_nanoseconds
    return {
        "strategy": strategy.name,
        "ns_per_bar_backtest": whole,
        "columns": max(whole - median(warm) * to_nanoseconds, 0.0),
        "compare_and_walk": median(warm) * to_nanoseconds,
        "trades": trades,
    }


def load(path: str | None, bars: int) -> tuple[Candles, str]:
    """Return the first `bars` candles of the file, or of a random walk, and where they are from."""
    candles, source = (read_candles(Path(path)), Path(path).name) if path else (random_walk(bars), "a random walk")
    if len(candles) < bars:
        raise SystemExit(f"{source} has {len(candles):,} candles, {bars:,} are needed: give fewer --bars")
    return candles.slice(0, bars), source


def run(strategies: Sequence[Strategy], candles: Candles, rows: int, rounds: int) -> list[Figures]:
    """Return one row of figures a strategy, the dearest first."""
    tables = price_tables(candles)
    short = price_tables(candles.slice(0, min(len(candles), 2_000)))
    figures = []
    for strategy in strategies:
        genomes = population(strategy, rows)
        time_strategy(strategy, genomes[:20], short, 1)  # compiles
        figures.append(time_strategy(strategy, genomes, tables, rounds))
    return sorted(figures, key=lambda row: -float(str(row["ns_per_bar_backtest"])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candles", help="parquet or CSV of candles; without it a random walk, the same in every run")
    parser.add_argument("--bars", type=int, default=100_000, help="use the first BARS candles (default 100,000)")
    parser.add_argument("--population", type=int, default=200, help="genomes a strategy (default 200)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of each strategy (default 5)")
    parser.add_argument("--strategy", action="append", help="only this strategy; may be given several times")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    strategies = [strategy_named(name) for name in options.strategy] if options.strategy else list(CATALOGUE.values())
    candles, source = load(options.candles, options.bars)
    rows = run(strategies, candles, options.population, options.rounds)
    times = [float(str(row["ns_per_bar_backtest"])) for row in rows]
    result: Figures = {
        "strategies": len(rows),
        "median_ns_per_bar_backtest": median(times),
        "worst_to_median": max(times) / median(times),
        "worst": rows[0]["strategy"],
        "bars": len(candles),
        "population": options.population,
        "candles": source,
        "memory_mb": peak_memory_mb(),
        "versions": versions("numba", "numpy"),
        "machine": machine(),
    }
    report("catalogue", result, rows, as_json=options.json)


if __name__ == "__main__":
    main()
