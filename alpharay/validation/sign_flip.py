"""Sign-flipped candles: the same market with its direction taken out, and nothing else.

Each candle is described by its moves from the close before it: to its open, high, low and close, in arithmetic terms
(`price / previous close - 1`). A mirrored candle has the opposite moves: open and close change sign together, so the
gap and the body flip as one, and the high takes the low's excursion and the low the high's. Time and volume stay.

With a fair coin a candle, independent of all else:

* The close is a martingale: E[close | past] = previous close, because the moves are arithmetic. (Mirrored logarithmic
  returns would drift up by half the variance.) So whoever decides on a close earns nothing on average before costs,
  on every candle held and on the fill at the next open. One bias is left: on the candle of the entry, bought at its
  open, open and close share one coin, which is worth -E[gap * body] a trade: at most 4e-8 on a year and a half of
  minutes of four markets, where a trade costs 2.4e-3. No joint mirror can be exact for both.
* The sizes of all moves stay where they are, so volatility clusters, its daily cycle and its relation to volume
  survive, and so do fat tails. What goes is everything that tells up from down: drift, momentum, reversal, asymmetry.
* Mirroring is a group action: mirroring twice with signs a and b is mirroring once with a * b. This is what makes a
  randomisation test exact: on data that is itself sign-flipped, the observed series and its flips are exchangeable.

Candles are flipped one by one, at the time frame that is searched, not in blocks. Blocks would keep the reversal of
the bid-ask bounce inside a block, and with it any edge that is shorter than a block: the null would contain what is to
be tested. The price of single flips is that on raw minutes the flipped series has no bounce: sums over an hour vary
more than the real ones, and a real series without an edge that pays its costs may differ from the null. So resample
first and flip then, and do not read a small p-value as profit: a promotion also needs a positive excess after costs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from alpharay.market.candles import PRICE_COLUMNS, Candles, FloatArray

Signs = npt.NDArray[np.int8]

BAD_TICK_MOVE = 0.5
"""A price that is so far or farther from the close before it, as a share of that close, is taken for a bad tick.

A rise of 100 % or more has no mirror image among positive prices, and a tick of +900 % would rule any statistic. A bad
close drops the whole candle's move; the way back from a doubling or more is at least as far, so it is dropped too and
the price goes on from where it was. A bad open, high or low is cut to what is left of the candle. The limit is the same
up and down, so that a mirror image is never a bad tick.
"""


def sign_flipped(candles: Candles, generator: np.random.Generator, *, start: int = 0) -> Candles:
    """Return `candles` with each one from row `start` on mirrored with probability 1/2: see the module.

    The first candle has none before it and is mirrored about its own open. Raises ValueError when a price is not
    finite and positive, or high and low do not enclose open and close.
    """
    signs = generator.integers(2, size=len(candles)).astype(np.int8) * np.int8(2) - np.int8(1)
    signs[:start] = 1
    return mirrored(candles, signs)


def without_bad_ticks(candles: Candles) -> Candles:
    """Return `candles` as every flip of them is made: the same object when there is no bad tick (`BAD_TICK_MOVE`).

    A test compares these, not the raw ones, with their flips, so that the two differ in signs alone.
    """
    return mirrored(candles, np.ones(len(candles), dtype=np.int8)) if _bad_ticks(candles).any() else candles


def mirrored(candles: Candles, signs: Signs) -> Candles:
    """Return `candles` rebuilt from their moves, those with sign -1 mirrored, those with sign 1 as they were.

    Rows before the first mirrored one or bad tick stay to the bit: no row depends on what comes after it. Raises
    ValueError when there is not one sign for each candle, and for prices as `sign_flipped`.
    """
    if len(signs) != len(candles):
        raise ValueError(f"signs must have one sign for each of the {len(candles)} candles, was {len(signs)}")
    if not np.isin(signs, (-1, 1)).all():
        raise ValueError(f"signs must be -1 or 1, was {signs[~np.isin(signs, (-1, 1))][0]}")
    _check_prices(candles)
    changed = np.flatnonzero((signs < 0) | _bad_ticks(candles).any(axis=0))
    if len(changed) == 0:
        return candles
    opened, high, low, closed = _moves(candles)
    up = signs > 0
    opened, closed = np.where(up, opened, -opened), np.where(up, closed, -closed)
    high, low = np.where(up, high, -low), np.where(up, low, -high)
    first = int(changed[0])
    path = np.cumprod(np.concatenate([_closes_before(candles)[first : first + 1], 1.0 + closed[first:]]))
    # One and the same product for all four prices: rounding is monotone, so high and low enclose open and close.
    opened, high, low, closed = (
        np.concatenate([getattr(candles, name)[:first], path[:-1] * (1.0 + move[first:])])
        for name, move in zip(PRICE_COLUMNS, (opened, high, low, closed), strict=True)
    )
    return replace(candles, open=opened, high=high, low=low, close=closed)


def _moves(candles: Candles) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return the moves of open, high, low and close from the close before; bad ticks do not move."""
    before = _closes_before(candles)
    bad_open, bad_high, bad_low, bad_close = _bad_ticks(candles)
    opened, high, low, closed = (getattr(candles, name) / before - 1.0 for name in PRICE_COLUMNS)
    closed = np.where(bad_close, 0.0, closed)
    opened = np.where(bad_close | bad_open, 0.0, opened)
    highest, lowest = np.maximum(opened, closed), np.minimum(opened, closed)
    high = np.where(bad_close | bad_high, highest, np.maximum(high, highest))
    low = np.where(bad_close | bad_low, lowest, np.minimum(low, lowest))
    return opened, high, low, closed


def _closes_before(candles: Candles) -> FloatArray:
    return np.concatenate([candles.open[:1], candles.close[:-1]])


def _bad_ticks(candles: Candles) -> npt.NDArray[np.bool_]:
    """Return which open, high, low, close (4, candles) is a bad tick."""
    moves = np.array([getattr(candles, name) for name in PRICE_COLUMNS]) / _closes_before(candles) - 1.0
    bad: npt.NDArray[np.bool_] = np.abs(moves) >= BAD_TICK_MOVE
    return bad


def _check_prices(candles: Candles) -> None:
    for name in PRICE_COLUMNS:
        column = getattr(candles, name)
        _refuse(candles, name, ~(np.isfinite(column) & (column > 0.0)), "must be finite and positive")
    _refuse(candles, "high", candles.high < np.maximum(candles.open, candles.close), "must not be below open or close")
    _refuse(candles, "low", candles.low > np.minimum(candles.open, candles.close), "must not be above open or close")


def _refuse(candles: Candles, name: str, bad: npt.NDArray[np.bool_], rule: str) -> None:
    rows = np.flatnonzero(bad)
    if len(rows):
        row = int(rows[0])
        value = getattr(candles, name)[row]
        raise ValueError(f"{name} of candle {row} (open_time {int(candles.open_time[row])}) {rule}, was {value}")
