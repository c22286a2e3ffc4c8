"""What became of each bar: whether the price rose or fell so far that a trade on it paid its costs.

A rule decided on the close of bar t is filled at the open of t + 1, as in the backtest; the trade ends at the open
`horizon` bars later. A rise that pays a long trade is 1, a fall that pays a short one 0, a move that pays neither has
no label: it says nothing of direction that anyone could use.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alpharay.market.candles import Candles, FloatArray, IntArray


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class TradeLabels:
    """A label a candle.

    Parameters
    ----------
    values : FloatArray
        1 for a rise that pays, 0 for a fall that pays, NaN for neither, for what is not known yet, and where a price
        is not a number above 0.
    known_at : IntArray
        The bar at whose open the label is known: `t + 1 + horizon`. Nothing before it may be learned from the label.
    """

    values: FloatArray
    known_at: IntArray


def trade_labels(candles: Candles, *, horizon: int, fee: float, slippage: float) -> TradeLabels:
    """Return the labels of all candles; the last `horizon + 1` have none yet.

    With e and x the opens at entry and exit, f the fee and s the slippage of a side, a long trade pays where
    x (1 - f)(1 - s) > e (1 + s) / (1 - f), a short one where e (1 - f)(1 - s) > x (1 + s) / (1 - f): cash for one unit
    sold against cash for one unit bought, as `alpharay.backtest.costs` has them.
    """
    bars = len(candles)
    known_at = np.arange(bars, dtype=np.int64) + 1 + horizon
    values = np.full(bars, np.nan)
    opens = candles.open
    entered, left = opens[1 : max(bars - horizon, 1)], opens[1 + horizon :]
    sold, bought = (1.0 - fee) * (1.0 - slippage), (1.0 + slippage) / (1.0 - fee)
    with np.errstate(all="ignore"):
        priced = np.isfinite(entered) & np.isfinite(left) & (entered > 0.0) & (left > 0.0)
        rose = priced & (left * sold > entered * bought)
        fell = priced & (entered * sold > left * bought)
    decided = values[: len(entered)]
    decided[rose] = 1.0
    decided[fell] = 0.0
    return TradeLabels(values, known_at)
