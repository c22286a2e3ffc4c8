"""A search's time: how much of it is backtests, and what a second worker brings.

    python -m benchmarks.discovery --json
    python -m benchmarks.discovery --candles BTC-USD_1m.parquet --bars 100000 --population 200

Work: several strategies of the catalogue, searched side by side on the training bars. `kernel_share` is the time inside
`backtest_population` over the wall time of the whole call, in this process. `speed_up_two_workers` is the wall time
with one Ray worker over that with two, in turns, the workers started before; it needs two idle cores. The champions of
every run must be the same bits.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from alpharay.discovery.evaluation import Executor, SerialExecutor
from alpharay.discovery.search import DiscoveryReport, SearchSettings, discover_all
from alpharay.market.candles import Candles
from alpharay.market.files import read_candles
from alpharay.strategies.catalogue import CATALOGUE, strategy_named
from benchmarks.random_walk import random_walk
from benchmarks.report import Figures, machine, median, report, versions

REAL_CANDLES = Path(__file__).resolve().parents[1] / "shared" / "data" / "BTC-USD_1m.parquet"
STRATEGIES = ("SMA_EMA_CROSSOVER", "MACD_CROSSOVER", "SMA_RSI", "BBAND_W_R", "DONCHIAN_BREAKOUT", "PARABOLIC_SAR")
TRAIN_FRACTION = 0.7


def load(path: Path | None, bars: int) -> tuple[Candles, str]:
    """Return enough candles to train on `bars`, and where they are from."""
    rows = int(np.ceil(bars / TRAIN_FRACTION)) + 1
    file = path or REAL_CANDLES
    if path is not None or file.is_file():
        candles = read_candles(file)
        if len(candles) < rows:
            raise SystemExit(f"{file} has {len(candles):,} candles, {rows:,} are needed: give fewer --bars")
        return candles.slice(0, rows), file.name
    return random_walk(rows), "a generated random walk"


def search(candles: Candles, settings: SearchSettings, executor: Executor) -> tuple[float, list[DiscoveryReport]]:
    """Return the seconds of one call and its reports."""
    strategies = [strategy_named(name) for name in STRATEGIES]
    start = time.perf_counter()
    reports = discover_all(strategies, candles, settings, executor=executor)
    return time.perf_counter() - start, reports


def champions(reports: Sequence[DiscoveryReport]) -> list[object]:
    """Return what must not depend on who ran the backtests."""
    return [(item.champions, item.evaluations, item.stop_reason) for item in reports]


@contextmanager
def local_ray() -> Iterator[None]:
    """Start Ray on this machine, and end what was started."""
    os.environ.update(
        RAY_AUTH_MODE="disabled",
        RAY_USAGE_STATS_ENABLED="0",
        RAY_ENABLE_UV_RUN_RUNTIME_ENV="0",
        RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",
        PYTHONPATH=str(Path(__file__).resolve().parents[1]),
    )
    os.environ.pop("RAY_ADDRESS", None)
    import ray

    # A short folder: Ray's sockets have paths of at most 107 bytes.
    folder = tempfile.mkdtemp(prefix="ar-", dir="/tmp")
    try:
        ray.init(
            address="local", num_cpus=4, object_store_memory=200 * 1024 * 1024, include_dashboard=False,
            log_to_driver=False, logging_level="ERROR", _temp_dir=folder, _node_ip_address="127.0.0.1",
        )  # fmt: skip
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def compare_workers(
    candles: Candles, settings: SearchSettings, rounds: int, expected: list[object]
) -> dict[int, list[float]]:
    """Return the seconds of each round with one worker and with two, in turns."""
    from ray_jobs.backtest_worker import RayExecutor

    seconds: dict[int, list[float]] = {1: [], 2: []}
    # A round that does not count: workers load compiled code on their first batch.
    quick = SearchSettings(population=8, generations=1, train_fraction=TRAIN_FRACTION)
    with local_ray():
        for _ in range(rounds):
            for workers in (1, 2):
                with RayExecutor(workers) as executor:
                    search(candles, quick, executor)
                    took, reports = search(candles, settings, executor)
                assert champions(reports) == expected, f"{workers} Ray workers found other champions"
                seconds[workers].append(took)
    return seconds


def measure(candles: Candles, settings: SearchSettings, rounds: int) -> tuple[Figures, list[Figures]]:
    """Return the figures, and a row for each strategy."""
    serial = SerialExecutor()
    _, first = search(candles, settings, serial)
    expected = champions(first)
    shares, rates = [], []
    for _ in range(rounds):
        took, reports = search(candles, settings, serial)
        assert champions(reports) == expected, "the same search found other champions"
        shares.append(sum(item.backtest_s for item in reports) / took)
        rates.append(sum(item.evaluations for item in reports) / took)
    seconds = compare_workers(candles, settings, rounds, expected)
    ratios = [one / two for one, two in zip(seconds[1], seconds[2], strict=True)]
    figures: Figures = {
        "kernel_share": median(shares),
        "speed_up_two_workers": median(ratios),
        "speed_up_rounds": [round(ratio, 3) for ratio in ratios],
        "evaluations_per_second": median(rates),
        "seconds_one_worker": median(seconds[1]),
        "seconds_two_workers": median(seconds[2]),
        "same_champions": True,
    }
    rows: list[Figures] = [
        {
            "strategy": item.strategy.name,
            "generations": len(item.log),
            "evaluations": item.evaluations,
            "microseconds_a_backtest": item.backtest_s / max(item.evaluations, 1) * 1e6,
            "best": item.champions[0].score if item.champions else float("nan"),
        }
        for item in reports
    ]
    return figures, rows


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candles", type=Path, help="a parquet or CSV file; real minutes or a random walk otherwise")
    parser.add_argument("--bars", type=int, default=100_000, help="bars to train on")
    parser.add_argument("--population", type=int, default=200)
    parser.add_argument("--generations", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    assert set(STRATEGIES) <= set(CATALOGUE)
    candles, source = load(chosen.candles, chosen.bars)
    settings = SearchSettings(
        population=chosen.population, generations=chosen.generations, seed=1, train_fraction=TRAIN_FRACTION
    )
    figures, rows = measure(candles, settings, chosen.rounds)
    report(
        "discovery",
        {
            **figures,
            "candles": source,
            "bars": chosen.bars,
            "population": chosen.population,
            "machine": machine(),
            "versions": versions("ray", "deap", "numba", "numpy"),
        },
        rows,
        as_json=chosen.json,
    )


if __name__ == "__main__":
    main()
