"""Which objective finds what goes on working: champions in sample, judged on the candles after them.

    python -m benchmarks.objectives --json
    python -m benchmarks.objectives --symbols BTC,ETH --timeframes 1h --seeds 2

Every strategy is searched under each objective on the first 70 % of a window; the best in sample then trades the rest,
untouched until then. A case is (symbol, time frame, window, strategy, seed). The rank of an objective in a case is that
of its champion's out-of-sample Sharpe ratio (1 is best, equals share). A champion that is not there counts as cash.
The windows of a symbol overlap neither with each other nor, of course, in sample with out of sample; the strategies
share them, so the cases are not independent, and small differences say nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from alpharay.discovery.objectives import OBJECTIVES
from alpharay.discovery.search import SearchSettings, discover_all
from alpharay.market.candles import Candles, FloatArray
from alpharay.market.files import read_candles
from alpharay.market.resampling import resample
from alpharay.strategies.catalogue import strategy_named
from benchmarks.report import Figures, machine, report, versions

DATA = Path(__file__).resolve().parents[1] / "shared" / "data"
STRATEGIES = (
    "SMA_EMA_CROSSOVER",
    "MACD_CROSSOVER",
    "TRIPLE_EMA_CROSSOVER",
    "SMA_RSI",
    "BBAND_W_R",
    "DONCHIAN_BREAKOUT",
    "PARABOLIC_SAR",
    "ADX_STOCHASTIC",
    "CMO_MFI",
    "VWAP_MEAN_REVERSION",
)
WINDOW_DAYS = 180


def windows(candles: Candles) -> Iterator[Candles]:
    """Yield the candles in windows of about half a year, the newest last."""
    days = (int(candles.open_time[-1]) - int(candles.open_time[0])) / 86_400_000
    count = max(round(days / WINDOW_DAYS), 1)
    for part in np.array_split(np.arange(len(candles)), count):
        yield candles.slice(int(part[0]), int(part[-1]) + 1)


def champions(candles: Candles, names: list[str], objective: str, seed: int) -> FloatArray:
    """Return (strategies, 4): Sharpe in sample, then out of sample Sharpe, return and trades of each champion."""
    settings = SearchSettings(population=50, generations=15, objective=objective, seed=seed, top_n=1)
    rows = []
    for found in discover_all([strategy_named(name) for name in names], candles, settings):
        if not found.champions:
            rows.append([0.0, 0.0, 0.0, 0.0])
            continue
        after = found.champions[0].out_of_sample
        assert after is not None, "the window has a test part"
        rows.append([found.champions[0].in_sample.sharpe, after.sharpe, after.total_return, after.trades])
    return np.array(rows)


def measure(folder: Path, symbols: list[str], timeframes: list[str], names: list[str], seeds: int) -> list[Figures]:
    """Return a row for each objective."""
    cases: dict[str, list[FloatArray]] = {objective: [] for objective in OBJECTIVES}
    for symbol in symbols:
        minutes = read_candles(folder / f"{symbol}-USD_1m.parquet")
        for timeframe in timeframes:
            for window in windows(resample(minutes, timeframe)):
                for seed in range(seeds):
                    for objective, found in cases.items():
                        found.append(champions(window, names, objective, seed))
    table = np.stack([np.concatenate(found) for found in cases.values()], axis=1)
    ranks = np.array([rankdata(-row) for row in np.round(table[:, :, 1], 12)])
    rows: list[Figures] = []
    for column, objective in enumerate(cases):
        inside, after, gain, trades = table[:, column].T
        rows.append(
            {
                "objective": objective,
                "cases": len(after),
                "mean_rank": round(float(ranks[:, column].mean()), 3),
                "median_sharpe_out": round(float(np.median(after)), 3),
                "mean_sharpe_out": round(float(after.mean()), 3),
                "mean_sharpe_in": round(float(inside.mean()), 3),
                "share_with_profit_out": round(float((gain > 0.0).mean()), 3),
                "mean_return_out": round(float(gain.mean()), 4),
                "mean_trades_out": round(float(trades.mean()), 1),
            }
        )
    return sorted(rows, key=lambda row: float(str(row["mean_rank"])))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with SYMBOL-USD_1m.parquet files")
    parser.add_argument("--symbols", default="BTC,ETH,LTC,XRP")
    parser.add_argument("--timeframes", default="15m,1h,4h")
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    rows = measure(
        chosen.data,
        chosen.symbols.split(","),
        chosen.timeframes.split(","),
        chosen.strategies.split(","),
        chosen.seeds,
    )
    report(
        "objectives",
        {
            "symbols": chosen.symbols.split(","),
            "timeframes": chosen.timeframes.split(","),
            "strategies": chosen.strategies.split(","),
            "seeds": chosen.seeds,
            "best_out_of_sample": rows[0]["objective"],
            "machine": machine(),
            "versions": versions("numpy", "numba"),
        },
        rows,
        as_json=chosen.json,
    )


if __name__ == "__main__":
    main()
