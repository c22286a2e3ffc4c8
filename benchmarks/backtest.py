"""The backtest kernel against vectorbt and a plain Numba scan: the same work, the same results, one run.

    python -m benchmarks.backtest --candles BTC-USD_1m.parquet --bars 100000 --json

Work: SMA crossover (496 parameter sets: windows 5, 11 … 191) and Wilder RSI (512 sets) on the file's first bars;
decided on the close, filled at the next open. AlphaRay computes its indicators within the time and all its metrics;
vectorbt gets the indicators ready-made and computes equity, maximum drawdown and Sharpe. Costs are given as slippage
alone, because vectorbt charges a fee on top of the stake where we take it out of it. One thread each, in turns; seconds
are those that the process had a core for.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alpharay.backtest.costs import Costs
from alpharay.backtest.market import open_market
from alpharay.backtest.metrics import metrics_table
from alpharay.backtest.population import backtest_population
from alpharay.backtest.settlement import OUTCOME_FIELDS
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.backtest.tables import PriceTables, price_tables
from alpharay.indicators.registry import INDICATORS
from alpharay.market.candles import Candles, FloatArray, IntArray
from alpharay.market.files import read_candles
from alpharay.market.sample import sample_candles
from alpharay.strategies.expression import P, ta
from alpharay.strategies.strategy import Integer, Real, Strategy
from benchmarks.plain_scan import CROSS_RULE, RSI_RULE, empty_results, scan_population
from benchmarks.report import machine, median, peak_memory_mb, report, versions

COSTS = Costs(fee=0.0, slippage=0.0012)
CHUNKS = (1, 4, 16, 48)
MINUTES_A_YEAR = 525_600.0
CASH = 1e9
"""vectorbt drops orders below a fixed size, so its account starts large."""
STOPS = Stops(stop_loss=0.02, take_profit=0.04)
OUT = {name: index for index, name in enumerate(OUTCOME_FIELDS)}


@dataclass(frozen=True)
class Work:
    """One strategy with its parameter sets, and the same as columns and thresholds for the peers."""

    name: str
    strategy: Strategy
    genomes: FloatArray
    indicator: str
    lengths: FloatArray
    picks: IntArray
    levels: FloatArray

    def columns(self, candles: Candles) -> FloatArray:
        """Compute the indicator columns that the peers get ready-made."""
        known = INDICATORS[self.indicator]
        return np.array([known(candles.close, int(length)) for length in self.lengths])


def sma_work() -> Work:
    windows = np.arange(5, 192, 6)
    pairs = list(itertools.combinations(range(len(windows)), 2))
    fast, slow = ta.sma(P.fast), ta.sma(P.slow)
    strategy = Strategy(
        "SMA_CROSSOVER",
        "Hold from where the fast average crosses above the slow one until it crosses back.",
        (Integer("fast", 2, 500, default=5), Integer("slow", 2, 500, default=20)),
        enter=fast.crosses_above(slow),
        exit=fast.crosses_below(slow),
        constraints=(P.fast < P.slow,),
    )
    picks = np.array(pairs, dtype=np.int64)
    return Work(
        "sma",
        strategy,
        windows[picks].astype(float),
        "sma",
        windows.astype(float),
        picks,
        np.zeros((len(pairs), 2)),
    )


def rsi_work() -> Work:
    lengths = np.arange(5, 5 + 16 * 2, 2)
    sets = list(itertools.product(range(16), (20.0, 25.0, 30.0, 35.0), np.arange(55.0, 91.0, 5.0)))
    rsi = ta.rsi(P.length)
    strategy = Strategy(
        "RSI",
        "Enter when the RSI is oversold, leave when it is overbought.",
        (
            Integer("length", 2, 100, default=14),
            Real("low", 0.0, 50.0, default=30.0),
            Real("high", 50.0, 100.0, default=70.0),
        ),
        enter=rsi < P.low,
        exit=rsi > P.high,
    )  # fmt: skip
    genomes = np.array([(lengths[index], low, high) for index, low, high in sets], dtype=float)
    picks = np.array([(index, index) for index, _, _ in sets], dtype=np.int64)
    return Work("rsi", strategy, genomes, "rsi", lengths.astype(float), picks, genomes[:, 1:].copy())


def time_alpharay(work: Work, candles: Candles, stops: Stops = NO_STOPS) -> tuple[float, FloatArray]:
    """Return seconds for the whole population from bare price tables, indicators included, and the outcome."""
    market = open_market(candles)
    start = time.process_time()
    result = backtest_population(work.strategy, work.genomes, market, COSTS, stops)
    return time.process_time() - start, result.outcome


def time_plain(work: Work, candles: Candles, tables: PriceTables) -> tuple[float, FloatArray]:
    """Return seconds for the plain scan of the whole population, indicators included, and the outcome."""
    outcome, daily_equity = empty_results(len(work.genomes), len(tables.day_ends), len(OUTCOME_FIELDS))
    start = time.process_time()
    columns = work.columns(candles)
    scan_population(
        candles.open, candles.close, tables.day_ends, CROSS_RULE if work.name == "sma" else RSI_RULE, columns,
        work.picks, work.levels, COSTS.entry_factor, COSTS.exit_factor, outcome, daily_equity,
    )  # fmt: skip
    metrics_table(outcome, daily_equity, len(candles), tables.years)
    return time.process_time() - start, outcome


def time_vectorbt(
    work: Work, candles: Candles, columns: FloatArray, sets: slice, chunk: int
) -> tuple[float, FloatArray]:
    """Return seconds for `sets` in chunks of `chunk` columns, and (final equity, drawdown, Sharpe a bar, trades)."""
    import pandas as pd
    import vectorbt

    index = pd.to_datetime(candles.open_time, unit="ms")
    close = pd.Series(candles.close, index=index)
    # A decision on bar t fills at the open of t + 1: the signals move one bar on and the price is the open.
    price = candles.open[:, None]
    picks, levels = work.picks[sets], work.levels[sets]
    results = []
    start = time.process_time()
    for first in range(0, len(picks), chunk):
        part, level = picks[first : first + chunk], levels[first : first + chunk]
        a = columns[part[:, 0]].T
        with np.errstate(invalid="ignore"):
            if work.name == "sma":
                b = columns[part[:, 1]].T
                enter, leave = np.zeros(a.shape, bool), np.zeros(a.shape, bool)
                enter[2:] = (a[1:-1] > b[1:-1]) & (a[:-2] <= b[:-2])
                leave[2:] = (a[1:-1] < b[1:-1]) & (a[:-2] >= b[:-2])
            else:
                enter, leave = np.zeros(a.shape, bool), np.zeros(a.shape, bool)
                enter[1:], leave[1:] = a[:-1] < level[:, 0], a[:-1] > level[:, 1]
        portfolio = vectorbt.Portfolio.from_signals(
            close, enter, leave, price=price, slippage=COSTS.slippage, fees=0.0, init_cash=CASH, freq="1min"
        )
        results.append(
            np.column_stack(
                [
                    np.atleast_1d(portfolio.final_value()) / CASH,
                    -np.atleast_1d(portfolio.max_drawdown()),
                    np.atleast_1d(portfolio.sharpe_ratio()),
                    np.atleast_1d(portfolio.trades.count()),
                ]
            )
        )
    return time.process_time() - start, np.vstack(results)


def vectorbt_process(work: Work, candles: Candles, chunks: tuple[int, ...], rounds: int, out: Path) -> None:
    """Time vectorbt in a process of its own, so that its memory is its own; write the figures to `out`."""
    import vectorbt

    vectorbt.settings.returns["year_freq"] = "365 days"
    columns = work.columns(candles)
    time_vectorbt(work, candles, columns, slice(0, 4), 4)  # compiles
    # One column at a time is many times slower: fewer sets tell it as well.
    sample = {chunk: slice(0, min(len(work.picks), max(8, 2 * chunk))) for chunk in chunks}
    nanoseconds = {}
    for chunk in chunks:
        count = sample[chunk].stop
        times = [time_vectorbt(work, candles, columns, sample[chunk], chunk)[0] for _ in range(rounds)]
        nanoseconds[chunk] = median(times) / count / len(candles) * 1e9
    best = min(nanoseconds, key=lambda chunk: nanoseconds[chunk])
    whole_seconds, results = time_vectorbt(work, candles, columns, slice(0, len(work.picks)), best)
    whole = whole_seconds / len(work.picks) / len(candles) * 1e9
    nanoseconds[best] = min(nanoseconds[best], whole)
    np.savez(
        out,
        results=results,
        chunks=list(nanoseconds),
        nanoseconds=list(nanoseconds.values()),
        memory=peak_memory_mb(),
    )


def relative_difference(ours: FloatArray, theirs: FloatArray) -> float:
    """Return the largest |ours - theirs| / max(|theirs|, 1e-12)."""
    return float(np.max(np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1e-12)))


def sharpe_a_year(outcome: FloatArray, bars: int) -> FloatArray:
    """Return the Sharpe ratio of returns a bar (deviation with n - 1, minutes a year), as vectorbt computes it."""
    mean, variance = outcome[:, OUT["bar_mean"]], outcome[:, OUT["bar_variance"]] * bars / (bars - 1)
    return mean / np.sqrt(variance) * np.sqrt(MINUTES_A_YEAR)


def load(path: str | None, bars: int) -> Candles:
    """Return the first `bars` candles of the file, or of the sample that ships with a dependency."""
    candles = read_candles(Path(path)) if path else sample_candles()[0]
    return candles.slice(0, min(bars, len(candles)))


def compare_with_plain(
    work: Work, candles: Candles, tables: PriceTables, rounds: int
) -> tuple[list[float], list[float], FloatArray, float]:
    """Return our and the plain scan's seconds by round, our outcome, and the largest difference between the two."""
    time_plain(work, candles, tables)
    ours, plain = [], []
    for _ in range(rounds):
        seconds, outcome = time_alpharay(work, candles)
        ours.append(seconds)
        seconds, expected = time_plain(work, candles, tables)
        plain.append(seconds)
    for field in ("drawdown_bars", "trades", "wins", "exposure_bars", "sides_traded"):
        if not np.array_equal(outcome[:, OUT[field]], expected[:, OUT[field]]):
            raise SystemExit(f"{work.name}: {field} differs from the plain scan: the results are not equal")
    return ours, plain, outcome, relative_difference(outcome, expected)


def compare_with_vectorbt(
    work: Work, options: argparse.Namespace, outcome: FloatArray, bars: int
) -> tuple[dict[int, float], float, float]:
    """Return vectorbt's ns per bar and backtest by chunk size, its peak memory in MB, and the largest difference."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "vectorbt.npz"
        command = [sys.executable, "-m", "benchmarks.backtest", "--vectorbt-work", work.name, "--out", str(out)]
        command += ["--bars", str(options.bars), "--rounds", str(options.rounds)]
        command += ["--candles", options.candles] if options.candles else []
        subprocess.run(command, check=True, timeout=1_800)
        with np.load(out) as peer:
            chunks = dict(zip(peer["chunks"].tolist(), peer["nanoseconds"].tolist(), strict=True))
            results, memory = peer["results"], float(peer["memory"])
    if not np.array_equal(outcome[:, OUT["trades"]], results[:, 3]):
        raise SystemExit(f"{work.name}: the number of trades differs from vectorbt's: the results are not equal")
    pairs = (
        (outcome[:, OUT["final_equity"]], results[:, 0]),
        (outcome[:, OUT["max_drawdown"]], results[:, 1]),
        (sharpe_a_year(outcome, bars), results[:, 2]),
    )
    return chunks, memory, max(relative_difference(ours, theirs) for ours, theirs in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candles", help="parquet or CSV of candles; without it the S&P 500 sample (5,031 days)")
    parser.add_argument("--bars", type=int, default=100_000, help="use the first BARS candles (default 100,000)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of each engine, in turns (default 5)")
    parser.add_argument("--no-vectorbt", action="store_true", help="leave vectorbt out")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--vectorbt-work", choices=("sma", "rsi"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    candles = load(options.candles, options.bars)
    works = {work.name: work for work in (sma_work(), rsi_work())}
    if options.vectorbt_work:
        vectorbt_process(works[options.vectorbt_work], candles, CHUNKS, min(options.rounds, 3), options.out)
        return

    tables = price_tables(candles)
    rows: list[dict[str, object]] = []
    figures: dict[str, object] = {}
    to_vectorbt, to_plain, differences, vectorbt_memory = [], [], [], [0.0]
    for work in works.values():
        time_alpharay(work, candles)
    own_memory = peak_memory_mb()
    for name, work in works.items():
        to_nanoseconds = 1e9 / len(work.genomes) / len(candles)
        ours, plain, outcome, difference = compare_with_plain(work, candles, tables, options.rounds)
        differences.append(difference)
        chunks: dict[int, float] = {}
        if not options.no_vectorbt:
            chunks, memory, difference = compare_with_vectorbt(work, options, outcome, len(candles))
            differences.append(difference)
            vectorbt_memory.append(memory)
            # Samples of ours on the other side of the peer's too, so that a busy spell favours no one.
            ours += [time_alpharay(work, candles)[0] for _ in range(options.rounds)]
        own = median(ours) * to_nanoseconds
        engines = {
            "AlphaRay, all metrics": own,
            "plain Numba scan, same metrics": median(plain) * to_nanoseconds,
            **{f"vectorbt, {chunk} columns a call": nanoseconds for chunk, nanoseconds in chunks.items()},
        }
        rows += [
            {
                "work": name,
                "engine": engine,
                "sets": len(work.genomes),
                "ns_per_bar_backtest": value,
                "ratio": value / own,
            }
            for engine, value in engines.items()
        ]
        figures[f"{name}_ns_per_bar_backtest"] = own
        time_alpharay(work, candles, STOPS)
        stopped = [time_alpharay(work, candles, STOPS)[0] for _ in range(options.rounds)]
        figures[f"{name}_stops_add_ns"] = median(stopped) * to_nanoseconds - own
        to_plain.append(median(plain) * to_nanoseconds / own)
        to_vectorbt += [min(chunks.values()) / own] if chunks else []
    result: dict[str, object] = {
        **({"ratio_to_vectorbt": min(to_vectorbt)} if to_vectorbt else {}),
        "ratio_to_plain_scan": min(to_plain),
        **figures,
        "max_relative_difference": max(differences),
        "memory_mb": own_memory,
        **({"vectorbt_memory_mb": max(vectorbt_memory)} if to_vectorbt else {}),
        "bars": len(candles),
        "versions": versions("numba", "numpy", *([] if options.no_vectorbt else ["vectorbt", "pandas"])),
        "machine": machine(),
    }
    report("backtest", result, rows, as_json=options.json)


if __name__ == "__main__":
    main()
