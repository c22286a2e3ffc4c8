"""The price leaves a band round its own average."""

from __future__ import annotations

from alpharay.strategies.expression import P, close, ta
from alpharay.strategies.strategy import Integer, Real, Strategy

# Written as average and deviation, not as ready bands: a search computes each of the two once a length.
_middle = ta.sma(P.bands)
_deviations = ta.standard_deviation(P.bands) * P.width
_regression = ta.linear_regression(P.length)
_channel = ta.linear_regression_deviation(P.length) * P.width

# The lines of the bars before, which the bar itself cannot have moved.
_line, _reach = _regression.previous(), ta.linear_regression_reach(P.length).previous()

BBAND_W_R = Strategy(
    name="BBAND_W_R",
    description="Enter below the lower Bollinger band with Williams %R oversold; leave above the upper band with %R "
    "overbought (Bollinger 2001, Williams 1973).",
    parameters=(
        Integer("bands", 10, 50, default=20),
        Integer("williams", 5, 30, default=14),
        Real("width", 1.5, 3.0, default=2.0),
    ),
    enter=(close < _middle - _deviations) & (ta.williams_r(P.williams) < -80.0),
    exit=(close > _middle + _deviations) & (ta.williams_r(P.williams) > -20.0),
)

LINEAR_REGRESSION_CHANNELS = Strategy(
    name="LINEAR_REGRESSION_CHANNELS",
    description="Enter when the close breaks above the regression channel (end point + width residual deviations), "
    "leave when it breaks below it (Kaufman 2013).",
    parameters=(Integer("length", 10, 50, default=20), Real("width", 1.0, 3.0, default=2.0)),
    enter=close.crosses_above(_regression + _channel),
    exit=close.crosses_below(_regression - _channel),
)

REGRESSION_CHANNEL = Strategy(
    name="REGRESSION_CHANNEL",
    description="While the regression line rises, enter when the close comes back above the lower line of Raff's "
    "channel, as far from it as the furthest close; leave when it falls back below the upper line (Raff 1991).",
    parameters=(Integer("length", 10, 100, default=50),),
    enter=(_regression > _line) & close.crosses_above(_line - _reach),
    exit=close.crosses_below(_line + _reach),
)

BANDS = (BBAND_W_R, LINEAR_REGRESSION_CHANNELS, REGRESSION_CHANNEL)
