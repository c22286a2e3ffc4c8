"""Many runs of the whole promotion pipeline: which markets, what one run keeps, and how an interrupted series goes on.

A finished run is one line of JSON in a file named after the benchmark and the configuration's hash. A run's random
numbers depend on its number alone, so runs may be done in any order, by several processes, and at another time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from alpharay.market.candles import Candles
from alpharay.market.files import read_candles
from alpharay.market.resampling import resample
from alpharay.market.synthetic import garch_candles
from alpharay.validation.configuration import Configuration, configuration_hash
from alpharay.validation.promotion import Decision
from alpharay.validation.sign_flip import sign_flipped

SYNTHETIC_BARS = 13_000
"""Of a made-up market: a year and a half of hours, about as many as the real ones have."""

MARKET_STREAM = 0x3A21
"""Keeps the random numbers that make a run's market apart from those of its permutations."""

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Markets:
    """Where a run's series without an edge comes from: real candles to flip, or a generator."""

    real: tuple[Candles, ...]
    timeframe: str
    bars: int

    @property
    def names(self) -> list[str]:
        """What the runs are made on."""
        return [f"{item.symbol} {item.timeframe}, {len(item)} candles" for item in self.real] or [
            f"GARCH(1,1) {self.timeframe}, {self.bars} candles"
        ]

    def series(self, run: int) -> tuple[str, Candles]:
        """Return the name and the edgeless series of a run; the markets take turns."""
        name = self.names[run % len(self.names)]
        if not self.real:
            return name, garch_candles(self.bars, MARKET_STREAM + run, timeframe=self.timeframe)
        generator = np.random.default_rng([MARKET_STREAM, run])
        return name, sign_flipped(self.real[run % len(self.real)], generator)


def open_markets(files: Sequence[Path], timeframe: str, bars: int = SYNTHETIC_BARS) -> Markets:
    """Return the candle files resampled to `timeframe`, or the GARCH generator when there are none."""
    return Markets(tuple(resample(read_candles(file), timeframe) for file in files), timeframe, bars)


@dataclass(frozen=True, slots=True)
class Task:
    """One run, by what tells it from others."""

    market: str
    run: int
    sharpe: float | None
    """Of the planted oracle; None where nothing is planted."""


def run_tasks(tasks: Sequence[Task], compute: Callable[[Task], Record], file: Path | None, title: str) -> list[Record]:
    """Return the records of all tasks, computing those that `file` does not hold and adding them to it."""
    known = {Task(item["market"], item["run"], item["sharpe"]): item for item in _read(file)}
    records = [known[task] for task in tasks if task in known]
    _end_last_line(file)
    missing = [task for task in tasks if task not in known]
    for task in _with_progress(missing, len(records), title):
        record = {**asdict(task), **compute(task)}
        records.append(record)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a") as lines:
                lines.write(json.dumps(record) + "\n")
    return records


def records_file(folder: Path | None, benchmark: str, configuration: Configuration) -> Path | None:
    """Return the file of a benchmark's finished runs; None when no folder was chosen."""
    return None if folder is None else folder / f"{benchmark}-{configuration_hash(configuration)}.jsonl"


def _read(file: Path | None) -> list[Record]:
    if file is None or not file.is_file():
        return []
    records = []
    for line in file.read_text().splitlines():
        # A process that was killed while it wrote leaves half a line: that run is done again.
        with suppress(json.JSONDecodeError):
            records.append(json.loads(line))
    return records


def _end_last_line(file: Path | None) -> None:
    if file is not None and file.is_file() and not file.read_text().endswith("\n"):
        with file.open("a") as lines:
            lines.write("\n")


def _with_progress(tasks: Sequence[Task], done: int, title: str) -> Iterable[Task]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=1) as progress:
        shown = progress.add_task(title, total=done + len(tasks), completed=done)
        for task in tasks:
            yield task
            progress.advance(shown)


def decision_record(decision: Decision) -> Record:
    """Return what is kept of a decision."""
    search, unseen = decision.search_test, decision.unseen
    return {
        "outcome": decision.outcome,
        "reason": decision.reason,
        "strategy": decision.found.strategy.name if decision.found else None,
        "parameters": decision.found.parameters if decision.found else None,
        "statistic": decision.found.statistic if decision.found else None,
        "p_value": search.p_value if search else None,
        "permutations": len(search.null) if search else 0,
        "unseen_trades": unseen.trades if unseen else None,
        "unseen_statistic": unseen.statistic if unseen else None,
        "unseen_p_value": unseen.test.p_value if unseen and unseen.test else None,
    }


def count(records: Sequence[Record], outcome: str) -> int:
    """Return how many runs ended so."""
    return sum(record["outcome"] == outcome for record in records)
