"""A trend has begun or turned."""

from __future__ import annotations

from alpharay.strategies.expression import P, close, ta
from alpharay.strategies.strategy import Integer, Real, Strategy

_plus, _minus = ta.plus_di(P.di), ta.minus_di(P.di)
_sar = ta.parabolic_sar(P.start, P.increment, P.maximum)
_aroon_up, _aroon_down = ta.aroon_up(P.aroon), ta.aroon_down(P.aroon)
_mfi = ta.mfi(P.mfi)
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

AROON_MFI = Strategy(
    name="AROON_MFI",
    description="Enter on a dip in an uptrend: Aroon up above Aroon down and the money flow index oversold; leave when "
    "the flow is overbought or Aroon turns down (Chande 1995, Quong & Soudack 1989).",
    parameters=(
        Integer("aroon", 10, 50, default=25),
        Integer("mfi", 5, 50, default=14),
        Real("overbought", 60.0, 90.0, default=80.0),
        Real("oversold", 10.0, 40.0, default=20.0),
    ),
    constraints=(P.oversold < P.overbought,),
    enter=(_aroon_up > _aroon_down) & (_mfi < P.oversold),
    exit=(_mfi > P.overbought) | _aroon_up.crosses_below(_aroon_down),
)

SAR_MFI = Strategy(
    name="SAR_MFI",
    description="Enter when the close crosses above the parabolic stop-and-reverse while money flows in (money flow "
    "index above `inflow`); leave when it crosses below the stop (Wilder 1978, Quong & Soudack 1989).",
    parameters=(
        Real("start", 0.01, 0.05, default=0.02),
        Real("increment", 0.01, 0.05, default=0.02),
        Real("maximum", 0.1, 0.5, default=0.2),
        Integer("mfi", 5, 50, default=14),
        Real("inflow", 30.0, 70.0, default=50.0),
    ),
    enter=close.crosses_above(_sar) & (_mfi > P.inflow),
    exit=close.crosses_below(_sar),
)

TRENDS = (ADX_DMI, PARABOLIC_SAR, ICHIMOKU_CLOUD, AROON_MFI, SAR_MFI)
