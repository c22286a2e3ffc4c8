"""Strategies of your own in a file: the search takes it as it takes the catalogue's names.

    alpharay discover --symbol SPX --strategies examples/my_rules.py
    alpharay discover --symbol SPX --strategies examples/my_rules.py,MACD_CROSSOVER
    alpharay strategies lookahead examples/my_rules.py
    alpharay strategies recursive examples/my_rules.py

Every variable that holds a Strategy is one, unless its name starts with `_`. The file stands alone: it may import
installed packages, and it travels to the Ray workers as it is. An indicator of your own is a function of candle columns
and numbers; its warm-up is how many bars at the start have no value yet.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alpharay.indicators.registry import indicator
from alpharay.market.sample import sample_candles
from alpharay.strategies.evaluation import signals
from alpharay.strategies.expression import P, close, ta
from alpharay.strategies.seasons import day_of_month_between, hour_between
from alpharay.strategies.strategy import Integer, Real, Strategy, with_minimum_holding

FloatArray = npt.NDArray[np.float64]


@indicator(inputs=("open", "high", "low", "close"), warm_up=lambda length: length - 1)
def buying_pressure(open_: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray, length: int) -> FloatArray:
    """Return how much of the range the candles of `length` bars closed above their opens, from -1 to 1."""
    body, span = close - open_, high - low
    averages = np.full(len(close), np.nan)
    if len(close) >= length:
        bodies = np.lib.stride_tricks.sliding_window_view(body, length).sum(axis=1)
        spans = np.lib.stride_tricks.sliding_window_view(span, length).sum(axis=1)
        # No range at all in the window: there is no pressure to speak of, and the value is not a number.
        averages[length - 1 :] = np.divide(bodies, spans, out=np.full(len(spans), np.nan), where=spans > 0.0)
    return averages


PRESSURE_IN_A_TREND = Strategy(
    name="PRESSURE_IN_A_TREND",
    description="Buy when candles close well above their opens above the long average; sell when they close below.",
    parameters=(
        Integer("length", 5, 60, default=20),
        Integer("trend", 50, 250, default=200),
        Real("strong", 0.0, 0.5, default=0.1),
    ),
    enter=(close > ta.sma(P.trend)) & (ta.buying_pressure(P.length) > P.strong),
    exit=ta.buying_pressure(P.length) < 0.0,
)

TURN_OF_THE_MONTH = Strategy(
    name="TURN_OF_THE_MONTH",
    description="Hold from the last days of a month to the first of the next (Ariel 1987).",
    parameters=(Integer("first", 24, 31, default=27), Integer("last", 1, 7, default=3)),
    enter=day_of_month_between(P.first, P.last),
    exit=~day_of_month_between(P.first, P.last),
)

# The hour is that in which a candle opened, UTC; daily candles all open in hour 0. The search also chooses how many
# bars a position is kept at least.
NIGHT_REVERSAL = with_minimum_holding(
    Strategy(
        name="NIGHT_REVERSAL",
        description="Buy an oversold RSI in some hours, which may go past midnight; sell when it has recovered.",
        parameters=(
            Integer("first", 0, 23, default=22),
            Integer("last", 0, 23, default=5),
            Integer("rsi", 2, 14, default=3),
        ),
        enter=(ta.rsi(P.rsi) < 20.0) & hour_between(P.first, P.last),
        exit=ta.rsi(P.rsi) > 60.0,
    ),
    low=0,
    high=48,
    default=6,
)


def main() -> None:
    """Say how often each enters on the sample candles."""
    candles = sample_candles()[0]
    for strategy in (PRESSURE_IN_A_TREND, TURN_OF_THE_MONTH, NIGHT_REVERSAL):
        entered = signals(strategy, strategy.defaults, candles).enter
        print(f"{candles.symbol}: {strategy.name} says enter on {entered.mean():.1%} of {len(candles)} candles")


if __name__ == "__main__":
    main()
