"""Live progress of named parts: one line each on a terminal, a line per change elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import Lock
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

_MARKS = {"up": ("✓", "green"), "external": ("→", "cyan"), "down": ("■", "dim"), "failed": ("✗", "red")}
_LINE_EVERY_SECONDS = 2.0


@dataclass
class _Row:
    state: str
    text: str
    started: float
    ended: float | None = None
    last_line: float = float("-inf")


class PartProgress:
    """Shows what happens to each part; call it with (part, state, text) from any thread.

    `quiet` shows nothing. The output goes to the error stream: standard output is the command's answer.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._rows: dict[str, _Row] = {}
        self._spinner = Spinner("dots")
        self._lock = Lock()
        self._live = Live(
            console=self._console,
            get_renderable=self._render,
            refresh_per_second=8,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> PartProgress:
        if self._console.is_terminal and not self._console.quiet:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, part: str, state: str, text: str) -> None:
        """Show that `part` is now in `state` (`working`, `up`, `external`, `down` or `failed`)."""
        now = time.monotonic()
        with self._lock:
            row = self._rows.get(part)
            changed = row is None or row.state != state
            if row is None:
                row = self._rows[part] = _Row(state, text, now)
            row.state, row.text, row.ended = state, text, None if state == "working" else now
            due = changed or now - row.last_line >= _LINE_EVERY_SECONDS
            if due and not self._console.is_terminal:
                row.last_line = now
                line = f"{part}: {state}, {text}" if text else f"{part}: {state}"
                self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _render(self) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_column(width=1)
        table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(overflow="fold")
        now = time.monotonic()
        with self._lock:
            for part, row in self._rows.items():
                mark, style = _MARKS.get(row.state, ("", ""))
                sign = self._spinner if row.state == "working" else Text(mark, style=style)
                seconds = (row.ended or now) - row.started
                table.add_row(sign, part, f"{seconds:.1f} s", Text(row.text.partition("\n")[0]))
        return table
