"""Are the parameters on a hill or on a needle: what the neighbours of a parameter set score.

A rule that works only with 17 and not with 16 or 18 has learned its candles by heart. Every pair of parameters is
varied on a grid around the champion, the others held; the share of neighbours that keep a good part of the champion's
score is its robustness. The grids are heat maps.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from alpharay.discovery.evaluation import Executor
from alpharay.discovery.objectives import objective_named, scores
from alpharay.discovery.search_space import Gene, repair, search_space
from alpharay.market.candles import FloatArray
from alpharay.strategies.strategy import Strategy
from alpharay.validation.daily_marks import DailyMarker, daily_marks

STEPS = 3
"""A grid reaches so many steps to either side."""

STEP_OF_VALUE = 0.1
STEP_OF_RANGE = 0.02
"""A step is a tenth of the champion's value, at least a fiftieth of the parameter's range and one grid point."""

KEPT = 0.5
"""A neighbour is as good when it keeps this share of the champion's score."""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Scores over two parameters; `rows` and `columns` are None where a strategy has fewer."""

    row_parameter: str | None
    column_parameter: str
    row_values: tuple[float, ...]
    column_values: tuple[float, ...]
    scores: tuple[tuple[float | None, ...], ...]
    """A row for each row value; None where the parameters are out of order or the set did not trade enough."""


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """The neighbours of one parameter set, in sample."""

    score: float
    """The parameter set's own."""
    neighbours: int
    robust_share: float
    """Share of neighbours that keep `KEPT` of the score.

    It is 1 without a parameter to vary, 0 when the own score is not positive.
    """
    median: float | None
    worst: float | None
    """Over the neighbours; None when one did not trade enough, or without neighbours."""
    sensitivity: dict[str, float]
    """For each parameter: the largest loss of score one step away, as a share of the score; most sensitive first."""
    maps: tuple[HeatMap, ...]
    """One a pair of parameters, the pair of the two most sensitive first."""


def neighbourhood(
    strategy: Strategy,
    parameters: dict[str, float],
    marker: DailyMarker,
    executor: Executor,
    *,
    objective: str,
    min_trades: int = 1,
    steps: int = STEPS,
) -> Neighbourhood:
    """Score the neighbours of `parameters` on the marker's candles, by the search's objective.

    Neighbours that break a constraint or leave the range do not exist and do not count; those that trade less than
    `min_trades` do, as not robust.
    """
    space = search_space(strategy)
    own = strategy.genome(parameters)
    names = strategy.parameter_names
    axes = [_axis(gene, value, steps) for gene, value in zip(space.genes, own.tolist(), strict=True)]
    pairs: list[tuple[int, ...]] = list(combinations(range(len(names)), 2)) or [(0,)] * bool(names)
    grids = [_grid(own, pair, axes) for pair in pairs]
    wanted = np.unique(np.concatenate([own[None, :], *grids]), axis=0)
    valid = wanted[(repair(space, wanted) == wanted).all(axis=1)] if len(names) else wanted
    marks = daily_marks(strategy, valid, marker, executor)
    values = scores(objective_named(objective), marks.metrics, min_trades)
    score_of = {genome.tobytes(): score for genome, score in zip(valid, values.tolist(), strict=True)}
    score = score_of[own.tobytes()]
    others = np.array([value for key, value in score_of.items() if key != own.tobytes()])
    sensitivity = {name: _sensitivity(own, column, axes[column], score, score_of) for column, name in enumerate(names)}
    order = dict(sorted(sensitivity.items(), key=lambda item: -item[1]))
    ranked = list(order)
    pairs.sort(key=lambda pair: sorted(ranked.index(names[column]) for column in pair))
    robust = float(np.mean(others >= KEPT * score)) if len(others) else 1.0
    return Neighbourhood(
        score=score,
        neighbours=len(others),
        robust_share=robust if score > 0.0 else 0.0,
        median=_finite(float(np.median(others))) if len(others) else None,
        worst=_finite(float(others.min())) if len(others) else None,
        sensitivity=order,
        maps=tuple(_heat_map(names, own, pair, axes, score_of) for pair in pairs),
    )


def _axis(gene: Gene, value: float, steps: int) -> FloatArray:
    """Return the values of one parameter around `value`, which is among them, inside its range."""
    step = max(abs(value) * STEP_OF_VALUE, (gene.high - gene.low) * STEP_OF_RANGE, gene.step)
    # Whole grid points away, so that the champion's own value stays what it is.
    points = max(round(step / gene.step), 1)
    values = np.asarray(value + np.arange(-steps, steps + 1) * points * gene.step, dtype=np.float64)
    room = gene.step / 2
    inside = values[(values >= gene.low - room) & (values <= gene.high + room)]
    return np.unique(np.concatenate([gene.snap(inside), [value]]))


def _grid(own: FloatArray, pair: tuple[int, ...], axes: list[FloatArray]) -> FloatArray:
    mesh = np.meshgrid(*(axes[column] for column in pair), indexing="ij")
    genomes = np.repeat(own[None, :], mesh[0].size, axis=0)
    for column, values in zip(pair, mesh, strict=True):
        genomes[:, column] = values.ravel()
    return genomes


def _sensitivity(own: FloatArray, column: int, axis: FloatArray, score: float, score_of: dict[bytes, float]) -> float:
    at = int(np.searchsorted(axis, own[column]))
    losses = [0.0]
    for place in (at - 1, at + 1):
        if 0 <= place < len(axis):
            genome = own.copy()
            genome[column] = axis[place]
            value = score_of.get(genome.tobytes())
            if value is not None:
                # A neighbour that hardly trades has lost everything.
                losses.append((score - max(value, 0.0)) / score if score > 0.0 else 0.0)
    return max(losses)


def _heat_map(
    names: tuple[str, ...], own: FloatArray, pair: tuple[int, ...], axes: list[FloatArray], score_of: dict[bytes, float]
) -> HeatMap:
    column = pair[-1]
    row = pair[0] if len(pair) == 2 else None
    found = [score_of.get(genome.tobytes()) for genome in _grid(own, pair, axes)]
    width = len(axes[column])
    cells = [None if value is None else _finite(value) for value in found]
    return HeatMap(
        row_parameter=None if row is None else names[row],
        column_parameter=names[column],
        row_values=() if row is None else tuple(axes[row].tolist()),
        column_values=tuple(axes[column].tolist()),
        scores=tuple(tuple(cells[start : start + width]) for start in range(0, len(cells), width)),
    )


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
