"""The power of the promotion pipeline: how often it finds an edge that is really there.

    python -m benchmarks.planted_edge --json
    python -m benchmarks.planted_edge --candles BTC-USD_1m.parquet ETH-USD_1m.parquet --folder runs --json

Every run plants an edge on a series without one (see `benchmarks.null_markets`): extra drift while an oracle is in the
market. The oracle is a parameter set of a family that is searched, drawn by the run's number; the drift is such that it
earns a set net annual Sharpe ratio. The whole pipeline of one frozen configuration then looks for it. `promoted`
counts the runs of the largest `--sharpes` that promoted something whose position correlates at least 0.5 with the
oracle's: at least 279 of 300 are asked for at 8. The rows give the power at each of them.

The oracle trades at least 40 times in the unseen part and is in the market at most 60 % of the time: one that hardly
trades there ends as "insufficient" by the rules, and one that is always in has no excess over holding.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from alpharay.backtest.single import backtest_strategy
from alpharay.discovery.search_space import random_population, search_space
from alpharay.discovery.split import split
from alpharay.market.candles import Candles
from alpharay.validation.configuration import FROZEN, Configuration, configuration_hash
from alpharay.validation.excess import positions
from alpharay.validation.planted_edge import PlantedEdge, plant_edge
from alpharay.validation.promotion import Found, decide
from benchmarks.promotion_runs import (
    Markets,
    Record,
    Task,
    count,
    decision_record,
    open_markets,
    records_file,
    run_tasks,
)
from benchmarks.report import Figures, machine, median, report, versions

ORACLE_STREAM = 0x07AC
LEAST_UNSEEN_TRADES = 40
LARGEST_EXPOSURE = 0.6
LEAST_CORRELATION = 0.5
MOST_DRAWS = 200


def draw_edge(base: Candles, configuration: Configuration, run: int, sharpe: float) -> PlantedEdge:
    """Return `base` with the edge of the run's oracle; the families take turns."""
    generator = np.random.default_rng([ORACLE_STREAM, run])
    strategy = configuration.strategies[run // 2 % len(configuration.strategies)]
    at = split(base, configuration.search.train_fraction).at
    defaults = strategy.genome(strategy.defaults)
    for _ in range(MOST_DRAWS):
        (genome,) = random_population(search_space(strategy), 1, generator)
        if np.array_equal(genome, defaults):
            continue
        try:
            planted = plant_edge(base, strategy, strategy.from_genome(genome), sharpe, configuration.costs)
        except ValueError:
            # No drift makes this parameter set so good on this series.
            continue
        entries = int((np.diff(planted.position[at:]) > 0.0).sum())
        if entries >= LEAST_UNSEEN_TRADES and planted.position.mean() <= LARGEST_EXPOSURE:
            return planted
    raise RuntimeError(f"run {run}: none of {MOST_DRAWS} parameter sets of {strategy.name} can be the oracle")


def correlation(found: Found | None, planted: PlantedEdge, configuration: Configuration) -> float:
    """Return the correlation of the positions of what was found and the oracle; 0 when one never changes."""
    if found is None:
        return 0.0
    result = backtest_strategy(found.strategy, found.parameters, planted.candles, costs=configuration.costs)
    own = positions(result)
    if own.std() == 0.0 or planted.position.std() == 0.0:
        return 0.0
    return float(np.corrcoef(own, planted.position)[0, 1])


def measure(
    markets: Markets,
    configuration: Configuration,
    runs: range,
    sharpes: tuple[float, ...],
    folder: Path | None = None,
) -> tuple[Figures, list[Figures]]:
    """Return the figures of the largest Sharpe ratio, and a row for each of them and each market."""

    def compute(task: Task) -> Record:
        assert task.sharpe is not None
        _, base = markets.series(task.run)
        planted = draw_edge(base, configuration, task.run, task.sharpe)
        started = time.perf_counter()
        decision = decide(planted.candles, configuration, seed=task.run)
        return {
            **decision_record(decision),
            "seconds": round(time.perf_counter() - started, 3),
            "oracle": planted.strategy.name,
            "oracle_parameters": planted.parameters,
            "oracle_sharpe": planted.sharpe,
            "oracle_trades": planted.trades,
            "oracle_exposure": float(planted.position.mean()),
            "drift": planted.drift,
            "correlation": correlation(decision.found, planted, configuration),
        }

    file = records_file(folder, "planted_edge", configuration)
    # The largest first: it is what the promise is about.
    tasks = [
        Task(markets.names[run % len(markets.names)], run, sharpe)
        for sharpe in sorted(sharpes, reverse=True)
        for run in runs
    ]
    records = run_tasks(tasks, compute, file, "planted edge")
    rows = [_row(of) for sharpe in sharpes if (of := [record for record in records if record["sharpe"] == sharpe])]
    by_market = [
        _row(of)
        for name in markets.names
        if (of := [item for item in records if item["market"] == name and item["sharpe"] == max(sharpes)])
    ]
    by_oracle = [
        _row(of)
        for strategy in configuration.strategies
        if (of := [item for item in records if item["oracle"] == strategy.name and item["sharpe"] == max(sharpes)])
    ]
    largest = rows[sharpes.index(max(sharpes))]
    figures: Figures = {
        "promoted": largest["promoted"],
        "runs": largest["runs"],
        "configuration": configuration_hash(configuration),
        "oracle_sharpe": max(sharpes),
        "median_seconds": median([record["seconds"] for record in records]),
    }
    return figures, [*rows, *by_market, *by_oracle]


def _row(records: list[Record]) -> Figures:
    """Return one row; `market` and `oracle` are "all" where there are several."""
    promoted = [record for record in records if record["outcome"] == "promoted"]
    markets, oracles = {record["market"] for record in records}, {record["oracle"] for record in records}
    return {
        "oracle_sharpe": records[0]["sharpe"],
        "market": markets.pop() if len(markets) == 1 else "all",
        "oracle": oracles.pop() if len(oracles) == 1 else "all",
        "runs": len(records),
        "promoted": sum(record["correlation"] >= LEAST_CORRELATION for record in promoted),
        "promoted_with_any_position": len(promoted),
        "insufficient": count(records, "insufficient"),
        "median_correlation": median([record["correlation"] for record in records]),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candles", type=Path, nargs="+", default=[], help="parquet or CSV files; GARCH otherwise")
    parser.add_argument("--runs", type=int, default=300, help="of each Sharpe ratio")
    parser.add_argument("--first", type=int, default=0, help="number of the first run: its seed")
    parser.add_argument("--sharpes", type=float, nargs="+", default=[8.0], help="net annual, of the oracle")
    parser.add_argument("--folder", type=Path, help="keeps finished runs, and goes on from them")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    markets = open_markets(chosen.candles, FROZEN.timeframe)
    runs = range(chosen.first, chosen.first + chosen.runs)
    figures, rows = measure(markets, FROZEN, runs, tuple(chosen.sharpes), chosen.folder)
    report(
        "planted_edge",
        {**figures, "machine": machine(), "versions": versions("numba", "numpy")},
        rows,
        as_json=chosen.json,
    )


if __name__ == "__main__":
    main()
