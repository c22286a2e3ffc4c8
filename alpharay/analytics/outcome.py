"""What became of a signal: entered at the next open, left after a horizon or at the opposite signal, net of costs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from alpharay.backtest.costs import Costs
from alpharay.market.candles import Candles, FloatArray, IntArray
from alpharay.market.timeframe import timeframe_ms

SIDES = {"BUY": 1, "SELL": -1, "HOLD": 0}
"""What a signal's action asks for."""


class Ending(IntEnum):
    """How a signal ended, or why it has no outcome."""

    WAITING = 0
    """The candles that it needs are not closed yet."""
    NONE = 1
    """It was a HOLD, which is neither right nor wrong."""
    MISSED = 2
    """The market had no candle for so long that nobody could have followed it."""
    HORIZON = 3
    OPPOSITE = 4
    LIQUIDATED = 5
    """The price doubled against a short before it was left."""


DEFINED = (Ending.HORIZON, Ending.OPPOSITE, Ending.LIQUIDATED)
"""The endings with a return."""


@dataclass(frozen=True, slots=True)
class OutcomeTerms:
    """How signals are followed.

    Parameters
    ----------
    horizon : int
        Time frames after the entry's open; the exit is at the first open then.
    costs : Costs
        Of each side.
    latest_entry : int
        Time frames after the signal; one whose next candle opens later is missed.
    """

    horizon: int = 24
    costs: Costs = Costs()
    latest_entry: int = 5

    def __post_init__(self) -> None:
        for name in ("horizon", "latest_entry"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, was {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Outcomes:
    """One outcome a signal, an array a column; times (UTC, ms) are -1 and numbers NaN where there is none."""

    ending: IntArray
    entry_time: IntArray
    entry_price: FloatArray
    exit_time: IntArray
    exit_price: FloatArray
    gross_return: FloatArray
    net_return: FloatArray

    def __len__(self) -> int:
        return len(self.ending)

    @property
    def defined(self) -> npt.NDArray[np.bool_]:
        """Which of them have a return."""
        return np.isin(self.ending, DEFINED)


def signal_outcomes(
    times: npt.ArrayLike, sides: npt.ArrayLike, candles: Candles, terms: OutcomeTerms = OutcomeTerms()
) -> Outcomes:
    """Return what became of a market's signals.

    `times` are when they were made (UTC, ms, by the exchange's clock, never falling), `sides` what they ask for (1, -1,
    or 0 for a HOLD), all signals of the market in that time: each may end one before it. `candles` are closed candles;
    one whose open or high is not a finite number above zero is passed over like a missing one.

    A signal is entered at the first open after it was made, strictly: an open at that very time may have been before
    it. It is left at the first open `horizon` time frames after the entry's, or at the entry of the first opposite
    signal that is entered later than it, whichever comes first: a candle that a gap has swallowed makes the exit later,
    as it would have been. No candle after the exit is looked at, so what is defined stays as it is when candles come.

    Costs are those of the backtest (`alpharay.backtest.walk`), for one unit of equity: a BUY ends with
    exit / entry * entry_factor * exit_factor - 1. A SELL is a short of 1 / entry units whose proceeds net of costs stay
    as cash: exit_factor - exit / entry / entry_factor, and everything is lost where that reaches -1 inside a candle.

    Raises ValueError when the arrays do not fit or times fall.
    """
    when, side = np.asarray(times, np.int64), np.asarray(sides, np.int64)
    if when.shape != side.shape or when.ndim != 1:
        raise ValueError(f"times and sides must be two arrays of one length, were {when.shape} and {side.shape}")
    if len(when) > 1 and bool(np.any(np.diff(when) < 0)):
        raise ValueError("times must never fall")
    if not set(np.unique(side).tolist()) <= {-1, 0, 1}:
        raise ValueError(f"sides must be 1, 0 or -1, were {np.unique(side).tolist()}")
    length = timeframe_ms(candles.timeframe)
    usable = np.isfinite(candles.open) & (candles.open > 0.0) & np.isfinite(candles.high) & (candles.high > 0.0)
    opened, price, high = candles.open_time[usable], candles.open[usable], candles.high[usable]

    entry = np.searchsorted(opened, when, side="right")
    entered = entry < len(opened)
    entry_time = np.where(entered, _at(opened, entry), -1)
    missed = entered & (entry_time > when + terms.latest_entry * length)
    due = np.searchsorted(opened, entry_time + terms.horizon * length, side="left")
    opposite = _opposite_entries(entry, entered, side, len(opened))
    leave = np.minimum(due, opposite)

    ending = np.where(opposite < due, Ending.OPPOSITE, Ending.HORIZON)
    ending[~entered | (leave >= len(opened))] = Ending.WAITING
    ending[missed] = Ending.MISSED
    ending[side == 0] = Ending.NONE
    done = np.isin(ending, DEFINED)
    exit_time = np.where(done, _at(opened, leave), -1)
    exit_price = np.where(done, _at(price, leave), np.nan)
    entry_price = np.where(done, _at(price, entry), np.nan)
    ratio = exit_price / entry_price
    costs = terms.costs
    net = np.where(
        side > 0,
        ratio * costs.entry_factor * costs.exit_factor - 1.0,
        np.maximum(costs.exit_factor - ratio / costs.entry_factor, -1.0),
    )
    # What a short's price may at most reach: there its equity is gone.
    limit = entry_price * (1.0 + costs.exit_factor) * costs.entry_factor
    for place in np.flatnonzero(done & (side < 0)):
        beyond = np.flatnonzero(high[entry[place] : leave[place]] >= limit[place])
        if len(beyond):
            ending[place] = Ending.LIQUIDATED
            exit_time[place] = opened[entry[place] + beyond[0]]
            exit_price[place], net[place] = limit[place], -1.0
    return Outcomes(
        ending=ending.astype(np.int64),
        entry_time=np.where(done, entry_time, -1),
        entry_price=entry_price,
        exit_time=exit_time,
        exit_price=exit_price,
        gross_return=side * (exit_price / entry_price - 1.0) + 0.0,
        net_return=np.where(done, net, np.nan),
    )


def _opposite_entries(entry: IntArray, entered: npt.NDArray[np.bool_], side: IntArray, candles: int) -> IntArray:
    """Return for each signal the candle at which the first opposite one is entered after it; `candles` without one."""
    found = np.full(len(entry), candles, np.int64)
    for own in (1, -1):
        others = entry[entered & (side == -own)]
        mine = np.flatnonzero(side == own)
        place = np.searchsorted(others, entry[mine], side="right")
        found[mine] = np.append(others, candles)[place]
    return found


def _at(values: npt.NDArray[np.generic], places: IntArray) -> npt.NDArray[np.generic]:
    """Return the values at places, anything at those past the end."""
    if not len(values):
        return np.zeros(len(places), values.dtype)
    return values[np.minimum(places, len(values) - 1)]
