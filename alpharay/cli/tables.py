"""Figures on a terminal: the same rows as in the reports."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text


def figures_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return rows of text as a table: names to the left, figures to the right; nothing is taken for markup."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(Text(heading), justify="right" if place else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
