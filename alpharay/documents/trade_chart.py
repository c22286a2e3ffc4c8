"""A small drawing of what a strategy does: price, its lines, entries and exits. SVG without any script or font."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

import numpy as np
import polars as pl

from alpharay.backtest.single import backtest_strategy
from alpharay.market.candles import Candles, FloatArray
from alpharay.strategies.evaluation import rules_and_series
from alpharay.strategies.expression import (
    Column,
    Comparison,
    Crosses,
    Level,
    Previous,
    Series,
    TimeOfCandle,
    walk_nodes,
)
from alpharay.strategies.strategy import Strategy
from alpharay.strategies.text import rule_text

BARS = 250
"""A trading year of daily candles."""
WANTED_TRADES = 3

PRICE_HEIGHT, PANE_HEIGHT, GAP, MARGIN, STEP = 220, 80, 22, 8, 3
WIDTH = 2 * MARGIN + (BARS - 1) * STEP
LINES, PANES = 4, 2
"""At most so many lines in a pane, and panes under the price."""
COLOURS = ("#1f6feb", "#d97706", "#7c3aed", "#0f766e")


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    values: FloatArray


@dataclass(frozen=True, slots=True)
class _Year:
    candles: Candles
    bars: slice
    trades: pl.DataFrame
    closed: int


def trade_chart(strategy: Strategy, markets: Sequence[Candles]) -> str:
    """Return the drawing of a strategy with its defaults on a year of candles in which it trades a few times.

    The first of `markets` that has such a year is taken, or the one with the most trades in one. A series in the rules
    is drawn over the price where it moves on the price's scale, and below it where it does not, with what it is
    compared to.
    """
    years = [_busy_year(strategy, candles) for candles in markets]
    enough = [year for year in years if year.closed >= WANTED_TRADES]
    chosen = enough[0] if enough else max(years, key=lambda year: year.closed)
    candles, year = chosen.candles, chosen.bars
    over, panes = _lines(strategy, candles, year)
    height = MARGIN * 2 + PRICE_HEIGHT + len(panes) * (PANE_HEIGHT + GAP) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">',
        "<style>text{font:11px sans-serif}</style>",
        f"<title>{escape(strategy.name)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        *_price_pane(candles, year, chosen.trades, over),
    ]
    top = MARGIN + GAP + PRICE_HEIGHT + GAP
    for lines in panes:
        scale = _Scale([line.values for line in lines], top, PANE_HEIGHT)
        parts += [f'<path d="M{MARGIN} {top}H{WIDTH - MARGIN}" stroke="#d0d7de"/>', *_drawn(lines, scale, top - 6)]
        top += PANE_HEIGHT + GAP
    return "\n".join([*parts, "</svg>", ""])


def _busy_year(strategy: Strategy, candles: Candles) -> _Year:
    """Return the first year that begins shortly before an entry and has the wanted trades, or the most there are."""
    trades = backtest_strategy(strategy, strategy.defaults, candles).trades
    entries, exits = trades["entry_bar"].to_numpy(), trades["exit_bar"].to_numpy()
    closed = trades["exit_reason"].to_numpy() != "open"
    last = max(len(candles) - BARS, 0)
    best, most = last, 0
    for entry in entries.tolist():
        start = min(max(entry - BARS // 10, 0), last)
        inside = int((closed & (entries >= start) & (exits < start + BARS)).sum())
        if inside > most:
            best, most = start, inside
        if most >= WANTED_TRADES:
            break
    return _Year(candles, slice(best, min(best + BARS, len(candles))), trades, most)


def _lines(strategy: Strategy, candles: Candles, year: slice) -> tuple[list[_Line], list[list[_Line]]]:
    """Return the lines over the price, and those of each pane below it."""
    pairs = _compared(strategy)
    nodes = list(dict.fromkeys(side for pair in pairs for side in pair))
    _, columns = rules_and_series(strategy, strategy.defaults, candles, nodes)
    values = {node: column[year] for node, column in zip(nodes, columns, strict=True)}
    price = candles.close[year]
    over: dict[Series, None] = {}
    panes: list[dict[Series, None]] = []
    for pair in pairs:
        if all(_on_price_scale(node, values[node], price) for node in pair):
            over |= dict.fromkeys(node for node in pair if not isinstance(node, Column))
            continue
        # What is made of one series moves on its scale.
        pane = next((pane for pane in panes if any(_related(a, b) for a in pane for b in pair)), None)
        if pane is None:
            panes.append(pane := {})
        pane |= dict.fromkeys(pair)

    def lines(chosen: dict[Series, None]) -> list[_Line]:
        return [_Line(rule_text(node, strategy.defaults), values[node]) for node in chosen][:LINES]

    return lines(over), [lines(pane) for pane in panes[:PANES]]


def _compared(strategy: Strategy) -> list[tuple[Series, ...]]:
    """Return the distinct pairs that the rules compare; a series compared with itself before is alone."""
    pairs: dict[tuple[Series, ...], None] = {}
    for rule in strategy.rules:
        for node in walk_nodes(rule):
            if isinstance(node, Comparison | Crosses):
                sides = (node.of if isinstance(node, Previous) else node for node in (node.left, node.right))
                pairs.setdefault(tuple(dict.fromkeys(sides)))
    return list(pairs)


def _related(first: Series, second: Series) -> bool:
    if isinstance(first, Level) or isinstance(second, Level):
        return False
    return first in walk_nodes(second) or second in walk_nodes(first)


def _on_price_scale(node: Series, values: FloatArray, price: FloatArray) -> bool:
    finite = values[np.isfinite(values)]
    if isinstance(node, Level | TimeOfCandle) or len(finite) == 0:
        return False
    return bool(0.8 * price.min() < np.median(finite) < 1.25 * price.max())


class _Scale:
    """Values to places: all lines of a pane have one."""

    def __init__(self, columns: list[FloatArray], top: float, height: float) -> None:
        finite = np.concatenate([column[np.isfinite(column)] for column in columns] or [np.zeros(0)])
        self.low, self.high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
        self._top, self._height = top, height

    def y(self, values: FloatArray) -> FloatArray:
        span = self.high - self.low or 1.0
        places: FloatArray = self._top + self._height * (self.high - values) / span
        return places


def _price_pane(candles: Candles, year: slice, trades: pl.DataFrame, over: list[_Line]) -> Iterator[str]:
    price = candles.close[year]
    top = MARGIN + GAP
    scale = _Scale([price, *(line.values for line in over)], top, PRICE_HEIGHT)
    first, last = (_date(candles.open_time[bar]) for bar in (year.start, year.stop - 1))
    yield f'<text x="{MARGIN}" y="{MARGIN + 6}" fill="#57606a">{escape(candles.symbol)} {first} to {last}</text>'
    if len(trades) == 0:
        yield f'<text x="{MARGIN}" y="{top + 10}" fill="#cf222e">No trade with the defaults on the sample.</text>'
    held, entered, left = [], [], []
    for row in trades.iter_rows(named=True):
        start, stop = row["entry_bar"] - year.start, row["exit_bar"] - year.start
        if stop < 0 or start >= len(price):
            continue
        since, until = _x(max(start, 0)), _x(min(stop, len(price) - 1))
        held.append(f"M{since} {top}H{until}v{PRICE_HEIGHT}H{since}z")
        if start >= 0:
            entered.append(_triangle(_x(start), float(scale.y(price[start : start + 1])[0]) + 5.0, up=True))
        if stop < len(price) and row["exit_reason"] != "open":
            left.append(_triangle(_x(stop), float(scale.y(price[stop : stop + 1])[0]) - 5.0, up=False))
    yield f'<path d="{"".join(held)}" fill="#1a7f37" fill-opacity="0.08"/>'
    yield from _drawn([_Line("close", price)], scale, None, colours=("#24292f",))
    yield from _drawn(over, scale, MARGIN + 6, indent=210)
    yield f'<path d="{"".join(entered)}" fill="#1a7f37"/>'
    yield f'<path d="{"".join(left)}" fill="#cf222e"/>'


def _drawn(
    lines: list[_Line], scale: _Scale, legend_y: float | None, *, indent: int = 0, colours: tuple[str, ...] = COLOURS
) -> Iterator[str]:
    offset = MARGIN + indent
    for line, colour in zip(lines, colours, strict=False):
        yield f'<path d="{_path(scale.y(line.values))}" fill="none" stroke="{colour}" stroke-width="1.2"/>'
        if legend_y is not None:
            yield f'<text x="{offset}" y="{legend_y}" fill="{colour}">{escape(line.text)}</text>'
            offset += 14 + 6 * len(line.text)


def _path(places: FloatArray) -> str:
    """Return the line through places, broken where there is none; a level takes two points."""
    pieces = []
    pen_down = False
    flat = bool(np.ptp(places) == 0.0) if len(places) else False
    for index in (0, len(places) - 1) if flat else range(len(places)):
        if not np.isfinite(places[index]):
            pen_down = False
            continue
        pieces.append(f"{' ' if pen_down else 'M'}{_x(index)} {places[index]:.1f}")
        pen_down = True
    return "".join(pieces)


def _x(bar: int) -> int:
    return MARGIN + bar * STEP


def _triangle(x: int, y: float, *, up: bool) -> str:
    return f"M{x} {y:.1f}l4 {8 if up else -8}h-8z"


def _date(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(int(milliseconds) / 1000, tz=UTC):%Y-%m-%d}"
