"""The error rate of the promotion pipeline: how often it promotes something where there is nothing to find.

    python -m benchmarks.null_markets --json
    python -m benchmarks.null_markets --candles BTC-USD_1m.parquet ETH-USD_1m.parquet --folder runs --json

Every run takes a series without an edge (real candles, each mirrored by a fair coin; or, without files, a GARCH market)
through the whole pipeline of one frozen configuration. `promoted` must be at most 8 of 300: then the true rate is
below 5 % with a confidence of 95 %. `passed_permutation` counts the runs with p at most the level before the last gate,
which should be about that level. With `--folder` finished runs are kept, and a second call goes on where the first
ended.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from scipy.stats import binomtest

from alpharay.validation.configuration import FROZEN, Configuration, configuration_hash
from alpharay.validation.promotion import decide
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


def measure(
    markets: Markets, configuration: Configuration, runs: range, folder: Path | None = None
) -> tuple[Figures, list[Figures]]:
    """Return the figures, and a row for each market."""

    def compute(task: Task) -> Record:
        _, candles = markets.series(task.run)
        started = time.perf_counter()
        decision = decide(candles, configuration, seed=task.run)
        return {**decision_record(decision), "seconds": round(time.perf_counter() - started, 3)}

    tasks = [Task(markets.names[run % len(markets.names)], run, None) for run in runs]
    records = run_tasks(tasks, compute, records_file(folder, "null_markets", configuration), "null markets")
    promoted = count(records, "promoted")
    figures: Figures = {
        "promoted": promoted,
        "runs": len(records),
        "configuration": configuration_hash(configuration),
        "upper_bound_95": round(
            binomtest(promoted, len(records), alternative="less").proportion_ci(confidence_level=0.95).high, 4
        ),
        "passed_permutation": _passed(records, configuration.level),
        "level": configuration.level,
        "insufficient": count(records, "insufficient"),
        "median_seconds": median([record["seconds"] for record in records]),
    }
    rows: list[Figures] = [
        {
            "market": name,
            "runs": len(of),
            "promoted": count(of, "promoted"),
            "passed_permutation": _passed(of, configuration.level),
            "insufficient": count(of, "insufficient"),
        }
        for name in markets.names
        if (of := [record for record in records if record["market"] == name])
    ]
    return figures, rows


def _passed(records: list[Record], level: float) -> int:
    return sum(record["p_value"] is not None and record["p_value"] <= level for record in records)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candles", type=Path, nargs="+", default=[], help="parquet or CSV files; GARCH otherwise")
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="number of the first run: its seed")
    parser.add_argument("--folder", type=Path, help="keeps finished runs, and goes on from them")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    markets = open_markets(chosen.candles, FROZEN.timeframe)
    figures, rows = measure(markets, FROZEN, range(chosen.first, chosen.first + chosen.runs), chosen.folder)
    report(
        "null_markets",
        {**figures, "machine": machine(), "versions": versions("numba", "numpy")},
        rows,
        as_json=chosen.json,
    )


if __name__ == "__main__":
    main()
