"""A trend has begun or turned."""

from __future__ import annotations

from alpharay.strategies.expression import P, close, ta
from alpharay.strategies.strategy import Integer, Real, Strategy

_plus, _minus = ta.plus_di(P.di), ta.minus_di(P.di)
_sar = ta.parabolic_sar(P.start, P.increment, P.maximum)
_tenkan, _kijun = ta.ichimoku_tenkan(P.tenkan), ta.ichimoku_kijun(P.kijun)
_span_a, _span_b = (
    ta.ichimoku_span_a(P.tenkan, P.kijun, P.displacement),
    ta.ichimoku_span_b(P.span, P.displacement),
)

ADX_DMI = Strategy(
    name="ADX_DMI",
    description="Enter when +DI crosses above -DI while ADX is above 25; leave when it crosses back (Wilder 1978).",
    parameters=(Integer("adx", 10, 30, default=14), Integer("di", 10, 30, default=14)),
    enter=(ta.adx(P.adx) > 25.0) & _plus.crosses_above(_minus),
    exit=_plus.crosses_below(_minus),
)

PARABOLIC_SAR = Strategy(
    name="PARABOLIC_SAR",
    description="Hold while the close is above the parabolic stop-and-reverse, from cross to cross (Wilder 1978).",
    parameters=(
        Real("start", 0.01, 0.05, default=0.02),
        Real("increment", 0.01, 0.05, default=0.02),
        Real("maximum", 0.1, 0.5, default=0.2),
    ),
    enter=close.crosses_above(_sar),
    exit=close.crosses_below(_sar),
)

ICHIMOKU_CLOUD = Strategy(
    name="ICHIMOKU_CLOUD",
    description="Enter when tenkan crosses above kijun with the close above the cloud; leave when it crosses back or "
    "the close falls below the cloud (Hosoda 1969). The cloud at a bar is the one drawn there, from data "
    "`displacement` bars older.",
    parameters=(
        Integer("tenkan", 5, 20, default=9),
        Integer("kijun", 20, 60, default=26),
        Integer("span", 50, 200, default=52),
        Integer("displacement", 20, 60, default=26),
    ),
    constraints=(P.tenkan < P.kijun, P.kijun < P.span),
    enter=_tenkan.crosses_above(_kijun) & (close > _span_a) & (close > _span_b),
    exit=_tenkan.crosses_below(_kijun) | ((close < _span_a) & (close < _span_b)),
)

TRENDS = (ADX_DMI, PARABOLIC_SAR, ICHIMOKU_CLOUD)
