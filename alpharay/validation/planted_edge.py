"""Markets with a known edge: a drift that is there only while one oracle strategy is in the market.

On a series without an edge, each candle that the oracle holds gets the same extra return. The oracle then earns a net
annual Sharpe ratio that can be set, everybody else as much of it as their position agrees with the oracle's, and
whether a search and its validation find it can be counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from alpharay.backtest.costs import Costs
from alpharay.backtest.single import Backtest, backtest_strategy
from alpharay.market.candles import Candles, FloatArray
from alpharay.strategies.strategy import Strategy
from alpharay.validation.excess import positions

LARGEST_DRIFT = 0.05
"""A candle's extra return at most, up or down."""

MOST_PASSES = 400
"""Of the search for the series that agrees with its own oracle."""


@dataclass(frozen=True, slots=True)
class PlantedEdge:
    """A series with an edge, and the oracle that knows it."""

    candles: Candles
    strategy: Strategy
    parameters: dict[str, float]
    drift: float
    """Extra return of each candle that the oracle holds."""
    sharpe: float
    """What the oracle earns: the net annual Sharpe ratio over the whole series."""
    position: FloatArray
    """The oracle's position at each close: 1 long, 0 flat."""
    trades: int


def plant_edge(
    base: Candles,
    strategy: Strategy,
    parameters: Mapping[str, float],
    sharpe: float,
    costs: Costs = Costs(),
    *,
    tolerance: float = 0.1,
) -> PlantedEdge:
    """Return `base` with the drift that lets the oracle earn `sharpe`, within `tolerance`.

    The drift is solved for by bisection on this very series, so the oracle's realised Sharpe ratio is what was asked
    for, not its expectation. The oracle is long or flat. Raises ValueError when it also goes short, hardly trades, or
    no drift will do.
    """
    if strategy.enter_short is not None:
        raise ValueError(f"the oracle must be long or flat, {strategy.name} also goes short")
    low, high = -LARGEST_DRIFT, LARGEST_DRIFT
    planted = _with_oracle(base, strategy, parameters, 0.0, np.zeros(len(base)), costs)
    for _ in range(60):
        if abs(planted.sharpe - sharpe) <= tolerance:
            return planted
        low, high = (planted.drift, high) if planted.sharpe < sharpe else (low, planted.drift)
        middle = _next_drift(planted, sharpe, low, high)
        planted = _with_oracle(base, strategy, parameters, middle, planted.position, costs)
    raise ValueError(
        f"no drift gives {strategy.name} {dict(parameters)} a Sharpe ratio of {sharpe} on {base!r}: "
        f"the last had {planted.sharpe:.2f} in {planted.trades} trades"
    )


def _next_drift(planted: PlantedEdge, sharpe: float, low: float, high: float) -> float:
    """Return the drift at which a Sharpe ratio linear in it would be right, or the middle when that is outside."""
    change = np.diff(planted.candles.close) / planted.candles.close[:-1]
    held = planted.position[1:] > 0.0
    bars_a_year = 365.0 * 86_400_000.0 * len(held) / max(float(np.ptp(planted.candles.open_time)), 1.0)
    scale = float(change[held].std()) if held.sum() > 1 else 0.0
    per_drift = float(np.sqrt(held.mean() * bars_a_year)) / scale if scale > 0.0 else 0.0
    guess = planted.drift + (sharpe - planted.sharpe) / per_drift if per_drift > 0.0 else low
    return guess if low < guess < high else (low + high) / 2.0


def _with_oracle(
    base: Candles,
    strategy: Strategy,
    parameters: Mapping[str, float],
    drift: float,
    position: FloatArray,
    costs: Costs,
) -> PlantedEdge:
    """Return the series whose drift is where its own oracle is in the market.

    The drift changes prices, and prices change what the oracle does later. Nothing looks ahead, so there is exactly
    one such series, and each pass (drift where the oracle was, ask the oracle again) is right for longer than the last.
    """
    for _ in range(MOST_PASSES):
        candles = with_drift(base, position, drift)
        result: Backtest = backtest_strategy(strategy, parameters, candles, costs=costs)
        held = positions(result)
        if np.array_equal(held, position):
            return PlantedEdge(
                candles, strategy, dict(parameters), drift, result.metrics.sharpe, held, int(result.metrics.trades)
            )
        position = held
    raise ValueError(f"{strategy.name} {dict(parameters)} did not settle in {MOST_PASSES} passes at drift {drift}")


def with_drift(candles: Candles, position: FloatArray, drift: float) -> Candles:
    """Return the candles with `drift * position` added to each one's return from its open; later prices follow.

    The high moves up with a rise and the low down with a fall.
    """
    extra = drift * position
    growth = np.concatenate(
        [[1.0], np.cumprod((candles.close / candles.open + extra) / (candles.close / candles.open))]
    )
    before = growth[:-1]
    opened, close = candles.open * before, candles.close * growth[1:]
    high = np.maximum(candles.high * before + opened * np.maximum(extra, 0.0), np.maximum(opened, close))
    low = np.minimum(candles.low * before + opened * np.minimum(extra, 0.0), np.minimum(opened, close))
    return replace(candles, open=opened, high=high, low=low, close=close)
