"""The price turns at, or breaks, a level that earlier prices have drawn."""

from __future__ import annotations

from alpharay.strategies.expression import P, close, ta
from alpharay.strategies.strategy import Integer, Real, Strategy

_top = ta.highest(P.length)
_swing = _top - ta.lowest(P.length)
_up, _down = ta.aroon_up(P.length), ta.aroon_down(P.length)
_pivot = ta.pivot_point(P.length)
_control = ta.point_of_control(P.length)
_value = ta.volume_profile_deviation(P.length) * P.width
_vwap = ta.vwap(P.vwap)
_below_vwap = _vwap - ta.standard_deviation(P.deviation) * P.width

FIBONACCI_RETRACEMENTS = Strategy(
    name="FIBONACCI_RETRACEMENTS",
    description="In an upward swing (the highest high is newer than the lowest low) enter when the close, having "
    "retraced at least `retracement` of the swing, comes back above that level; leave at a new high, or when 78.6 % "
    "of the swing is lost (Fischer 1993).",
    parameters=(Integer("length", 10, 100, default=50), Real("retracement", 0.236, 0.618, default=0.382)),
    # At a fresh high nothing has been retraced yet.
    enter=(_up > _down) & (_up < 100.0) & close.crosses_above(_top - _swing * P.retracement),
    exit=(close > _top.previous()) | (close < _top - _swing * 0.786),
)

PIVOT = Strategy(
    name="PIVOT",
    description="Hold from where the close crosses above the floor traders' pivot, a third of highest high, lowest low "
    "and last close of the bars before, until it crosses back (Person 2004).",
    parameters=(Integer("length", 5, 50, default=20),),
    enter=close.crosses_above(_pivot),
    exit=close.crosses_below(_pivot),
)

VOLUME_PROFILE = Strategy(
    name="VOLUME_PROFILE",
    description="Enter when the close leaves the value area, 70 % of the volume of the last `length` bars, upwards; "
    "leave when it falls below the point of control, the price with the most volume (Dalton 1990).",
    parameters=(Integer("length", 10, 100, default=20),),
    enter=close.crosses_above(ta.value_area_high(P.length)),
    exit=close.crosses_below(_control),
)

VOLUME_PROFILE_DEVIATIONS = Strategy(
    name="VOLUME_PROFILE_DEVIATIONS",
    description="Enter when the close comes back into value, `width` deviations of the volume at price round the point "
    "of control, from below; leave at the other side of value, or when it falls out again (Steidlmayer & Koy 1986, "
    "Dalton 1990).",
    parameters=(Integer("length", 10, 100, default=20), Real("width", 0.5, 2.5, default=1.0)),
    enter=close.crosses_above(_control - _value),
    exit=(close > _control + _value) | close.crosses_below(_control - _value),
)

VWAP_MEAN_REVERSION = Strategy(
    name="VWAP_MEAN_REVERSION",
    description="Enter when the close comes back above the band `width` standard deviations below the rolling "
    "volume-weighted average price, leave when it is above that average (Berkowitz, Logue & Noser 1988 for the "
    "average, Bollinger 2001 for the band).",
    parameters=(
        Integer("vwap", 10, 50, default=20),
        Integer("deviation", 10, 50, default=20),
        Real("width", 1.0, 3.0, default=2.0),
    ),
    enter=close.crosses_above(_below_vwap),
    exit=close > _vwap,
)

LEVELS = (FIBONACCI_RETRACEMENTS, PIVOT, VOLUME_PROFILE, VOLUME_PROFILE_DEVIATIONS, VWAP_MEAN_REVERSION)
