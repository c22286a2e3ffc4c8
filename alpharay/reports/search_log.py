"""How a search went, generation by generation, in a form that a database keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any

from alpharay.discovery.report import Generation

DIGITS = 6
"""Digits after the point that are kept: more cannot be seen in a figure."""


@dataclass(frozen=True, slots=True)
class SearchLog:
    """One entry a generation, in order."""

    best: tuple[float | None, ...]
    """The best score so far; None while nothing has traded."""
    median: tuple[float | None, ...]
    """Of the population's scores; None when half of it never traded."""
    diversity: tuple[float, ...]
    """Distinct genomes / population."""
    evaluations: tuple[int, ...]
    """Backtests so far."""

    def __len__(self) -> int:
        return len(self.best)


def search_log(generations: Sequence[Generation]) -> SearchLog:
    """Return the log of a search as it is kept."""
    return SearchLog(
        best=tuple(_finite(item.best) for item in generations),
        median=tuple(_finite(item.median) for item in generations),
        diversity=tuple(round(item.diversity, DIGITS) for item in generations),
        evaluations=tuple(item.evaluations for item in generations),
    )


def search_log_json(log: SearchLog) -> dict[str, Any]:
    """Return the log as JSON values."""
    return {name: list(values) for name, values in asdict(log).items()}


def search_log_from_json(json: Mapping[str, Any] | None) -> SearchLog | None:
    """Return the log that `search_log_json` wrote; None where none was kept or its columns do not fit together."""
    if json is None or any(field.name not in json for field in fields(SearchLog)):
        return None
    columns = {field.name: tuple(json[field.name]) for field in fields(SearchLog)}
    if not columns["best"] or len({len(column) for column in columns.values()}) != 1:
        return None
    return SearchLog(**columns)


def _finite(value: float) -> float | None:
    return round(value, DIGITS) if isfinite(value) else None
