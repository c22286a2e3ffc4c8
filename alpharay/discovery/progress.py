"""A search as it goes: a live table in a terminal, a line every few seconds anywhere else."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table

from alpharay.discovery.search import Generation

LINE_SECONDS = 3.0
"""How often a line is written where there is no terminal (the logs of a job)."""

REFRESHES_A_SECOND = 4
ROWS_KEPT_FREE = 6
"""Lines of the terminal that the table leaves to its header and what is around it."""


class DiscoveryProgress:
    """Shows the generations that it is called with, from the first second on; use it in a `with`."""

    def __init__(self, strategy_names: Sequence[str], console: Console | None = None) -> None:
        self._console = console or Console()
        self._latest: dict[tuple[str, str], Generation | None] = dict.fromkeys((name, "") for name in strategy_names)
        self._started = time.monotonic()
        self._done = threading.Event()
        self._live: Live | None = None
        self._writer: threading.Thread | None = None

    def __call__(self, generation: Generation) -> None:
        """Take note of a generation."""
        self._latest.pop((generation.strategy_name, ""), None)
        self._latest[generation.strategy_name, generation.timeframe] = generation

    def __enter__(self) -> DiscoveryProgress:
        self._started = time.monotonic()
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._table,
                console=self._console,
                refresh_per_second=REFRESHES_A_SECOND,
                vertical_overflow="crop",
            )
            self._live.start()
        else:
            self._writer = threading.Thread(target=self._write_lines, name="discovery-progress", daemon=True)
            self._writer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._live is not None:
            self._live.stop()
        if self._writer is not None:
            self._writer.join(timeout=LINE_SECONDS)
            self._console.print(self.line(), highlight=False)

    def line(self) -> str:
        """Return where the searches stand, in one line."""
        # A copy, for the writer is on a thread of its own.
        latest = list(self._latest.values())
        told = [item for item in latest if item is not None]
        running = sum(item is None or item.stop_reason is None for item in latest)
        elapsed = time.monotonic() - self._started
        text = f"{elapsed:6.1f} s · {running} of {len(latest)} searches running"
        if not told:
            return f"{text} · first generation (the backtest compiles when it runs for the first time)"
        evaluations = sum(item.evaluations for item in told)
        seconds = max(item.elapsed_s for item in told)
        best = max(told, key=lambda item: item.best)
        generations = max(item.generation for item in told)
        left = max((_seconds_left(item) for item in told), default=0.0)
        return (
            f"{text} · generation {generations}/{best.generations} · {evaluations:,} backtests "
            f"({evaluations / max(seconds, 1e-9):,.0f}/s) · best {best.strategy_name} {_score(best.best)} · "
            f"at most {left:.0f} s left"
        )

    def _write_lines(self) -> None:
        self._console.print(self.line(), highlight=False)
        while not self._done.wait(LINE_SECONDS):
            self._console.print(self.line(), highlight=False)

    def _table(self) -> Table:
        table = Table(title=f"Discovery · {time.monotonic() - self._started:.1f} s", title_justify="left")
        table.add_column("strategy", no_wrap=True)
        for column in (
            "generation",
            "backtests",
            "per second",
            "best",
            "median",
            "diversity",
            "at most left",
        ):
            table.add_column(column, justify="right", no_wrap=True)
        room = max(self._console.height - ROWS_KEPT_FREE, 1)
        # Running searches first: with more strategies than lines, what has ended makes room.
        ordered = sorted(self._latest.items(), key=lambda item: item[1] is not None and item[1].stop_reason is not None)
        for name, item in ordered[:room]:
            table.add_row(" ".join(name).strip(), *_cells(item))
        if len(ordered) > room:
            table.caption = f"and {len(ordered) - room} more"
        return table


def _cells(item: Generation | None) -> tuple[str, ...]:
    if item is None:
        return ("starting", *[""] * 6)
    rate = item.evaluations / max(item.elapsed_s, 1e-9)
    left = f"{_seconds_left(item):.0f} s" if item.stop_reason is None else item.stop_reason.replace("_", " ")
    return (
        f"{item.generation}/{item.generations}",
        f"{item.evaluations:,}",
        f"{rate:,.0f}",
        _score(item.best),
        _score(item.median),
        f"{item.diversity:.0%}",
        left,
    )


def _seconds_left(item: Generation) -> float:
    """Return the time until the last possible generation; a search may stop earlier."""
    if item.stop_reason is not None:
        return 0.0
    return item.elapsed_s / item.generation * (item.generations - item.generation)


def _score(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "no trade"
