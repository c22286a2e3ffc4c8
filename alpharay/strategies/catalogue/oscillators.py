"""An oscillator leaves a zone, or crosses zero or its signal line."""

from __future__ import annotations

from alpharay.strategies.expression import P, close, high, low, ta
from alpharay.strategies.strategy import Integer, Real, Strategy

_rsi = ta.rsi(P.rsi)
_smoothed_rsi = ta.sma(P.ma, of=_rsi)
_stochastic = ta.stochastic_k(P.k)
_awesome = ta.awesome_oscillator(P.short, P.long)
_cci, _atr = ta.cci(P.cci), ta.atr(P.atr)
_cmo, _mfi = ta.cmo(P.cmo), ta.mfi(P.mfi)
_average = ta.ema(P.length)
_bulls, _bears = ta.bull_power(P.length), ta.bear_power(P.length)
# Pring's weights and smoothing; the search chooses the four spans.
_kst = ta.kst(P.roc1, P.roc2, P.roc3, P.roc4, 10, 10, 10, 15)
_kst_signal = ta.sma(P.signal, of=_kst)
# The 27 and 26.5 of Dorsey's 25-bar sum, per bar of the sum.
_mass = ta.mass_index(P.ema, P.sum) / P.sum
_bulge = _mass.crosses_below(26.5 / 25.0) & (ta.highest(P.sum, of=_mass) > 27.0 / 25.0)
_mass_average = ta.ema(P.ema)
_pinball = ta.rsi(P.rsi, of=ta.momentum(P.change)).previous()
# Widner's oscillator over the range of the closes; the bar's own close is in it.
_widest = ta.highest(P.range, of=close) - ta.lowest(P.range, of=close)
_rainbow = (close - ta.rainbow(P.smoothing)) * 100.0 / _widest
_vigor, _vigor_signal = ta.rvi(P.length), ta.rvi_signal(P.length)
_stochastic_average = ta.ema(P.ema, of=_stochastic)
_stochastic_rsi = ta.sma(P.d, of=ta.stochastic_k(P.k, of=(_rsi, _rsi, _rsi)))

SMA_RSI = Strategy(
    name="SMA_RSI",
    description="Enter when the RSI and its average are oversold, leave when both are overbought (Wilder 1978).",
    parameters=(
        Integer("ma", 5, 50, default=14),
        Integer("rsi", 2, 30, default=14),
        Real("overbought", 60.0, 85.0, default=70.0),
        Real("oversold", 15.0, 40.0, default=30.0),
    ),
    constraints=(P.oversold < P.overbought,),
    enter=(_rsi < P.oversold) & (_smoothed_rsi < P.oversold),
    exit=(_rsi > P.overbought) & (_smoothed_rsi > P.overbought),
)

ADX_STOCHASTIC = Strategy(
    name="ADX_STOCHASTIC",
    description="Enter when the stochastic is oversold while ADX shows a trend; leave when it is overbought and the "
    "trend has gone (Wilder 1978, Lane 1984).",
    parameters=(
        Integer("adx", 10, 30, default=14),
        Integer("k", 5, 20, default=14),
        Real("overbought", 60.0, 90.0, default=80.0),
        Real("oversold", 10.0, 40.0, default=20.0),
    ),
    constraints=(P.oversold < P.overbought,),
    enter=(ta.adx(P.adx) > 20.0) & (_stochastic < P.oversold),
    exit=(ta.adx(P.adx) < 20.0) & (_stochastic > P.overbought),
)

AWESOME_OSCILLATOR = Strategy(
    name="AWESOME_OSCILLATOR",
    description="Hold while the awesome oscillator is above zero, from cross to cross (Williams 1995).",
    parameters=(Integer("short", 2, 20, default=5), Integer("long", 10, 50, default=34)),
    constraints=(P.short < P.long,),
    enter=_awesome.crosses_above(0.0),
    exit=_awesome.crosses_below(0.0),
)

ATR_CCI = Strategy(
    name="ATR_CCI",
    description="Enter when the commodity channel index rises above -100 while the average true range grows; leave "
    "when it falls below +100, or back below -100 (Lambert 1980, Wilder 1978).",
    parameters=(Integer("atr", 5, 30, default=14), Integer("cci", 10, 50, default=20)),
    enter=_cci.crosses_above(-100.0) & (_atr > _atr.previous()),
    exit=_cci.crosses_below(100.0) | _cci.crosses_below(-100.0),
)

CMO_MFI = Strategy(
    name="CMO_MFI",
    description="Enter when Chande's momentum oscillator crosses above zero while the money flow index is not yet "
    "overbought (80); leave when it crosses back or the flow becomes overbought (Chande & Kroll 1994, Quong & Soudack "
    "1989).",
    parameters=(Integer("cmo", 10, 30, default=14), Integer("mfi", 10, 30, default=14)),
    enter=_cmo.crosses_above(0.0) & (_mfi < 80.0),
    exit=_cmo.crosses_below(0.0) | _mfi.crosses_above(80.0),
)

ELDER_RAY_MA = Strategy(
    name="ELDER_RAY_MA",
    description="Enter when the average rises and bear power is below zero but rising; leave when the average falls "
    "and bull power is above zero but falling (Elder 1993).",
    parameters=(Integer("length", 5, 50, default=13),),
    enter=(_average > _average.previous()) & (_bears < 0.0) & (_bears > _bears.previous()),
    exit=(_average < _average.previous()) & (_bulls > 0.0) & (_bulls < _bulls.previous()),
)

KST_OSCILLATOR = Strategy(
    name="KST_OSCILLATOR",
    description="Hold from where Pring's know sure thing, four smoothed rates of change, crosses above its simple "
    "signal line until it crosses back (Pring 1992).",
    parameters=(
        Integer("roc1", 5, 20, default=10),
        Integer("roc2", 10, 25, default=15),
        Integer("roc3", 15, 30, default=20),
        Integer("roc4", 20, 40, default=30),
        Integer("signal", 5, 15, default=9),
    ),
    constraints=(P.roc1 < P.roc2, P.roc2 < P.roc3, P.roc3 < P.roc4),
    enter=_kst.crosses_above(_kst_signal),
    exit=_kst.crosses_below(_kst_signal),
)

MASS_INDEX = Strategy(
    name="MASS_INDEX",
    description="On a reversal bulge (the mass index was above 27 and falls below 26.5, for a sum of 25) enter if the "
    "average falls, leave if it rises: the range has swollen, so the trend turns (Dorsey 1992).",
    parameters=(Integer("ema", 5, 50, default=9), Integer("sum", 10, 40, default=25)),
    enter=_bulge & (_mass_average < _mass_average.previous()),
    exit=_bulge & (_mass_average > _mass_average.previous()),
)

MOMENTUM_PINBALL = Strategy(
    name="MOMENTUM_PINBALL",
    description="The short RSI of the momentum (Raschke's LBR/RSI) was oversold and the close takes out the bar's "
    "high: enter; it was overbought and the close falls below the bar's low: leave (Connors & Raschke 1995).",
    parameters=(
        Integer("rsi", 2, 10, default=3),
        Integer("change", 1, 10, default=1),
        Real("overbought", 60.0, 90.0, default=70.0),
        Real("oversold", 10.0, 40.0, default=30.0),
    ),
    constraints=(P.oversold < P.overbought,),
    enter=(_pinball < P.oversold) & (close > high.previous()),
    exit=(_pinball > P.overbought) & (close < low.previous()),
)

RAINBOW_OSCILLATOR = Strategy(
    name="RAINBOW_OSCILLATOR",
    description="Enter when the close's distance from the middle of the rainbow, ten averages of averages, in percent "
    "of the closes' range rises above `level`; leave when it falls below zero (Widner 1997).",
    parameters=(
        Integer("smoothing", 2, 10, default=2),
        Integer("range", 5, 50, default=10),
        Real("level", 0.0, 60.0, default=20.0),
    ),
    enter=_rainbow.crosses_above(P.level),
    exit=_rainbow.crosses_below(0.0),
)

RVI = Strategy(
    name="RVI",
    description="Hold from where the relative vigor index crosses above its signal line until it crosses back "
    "(Ehlers 2002).",
    parameters=(Integer("length", 5, 30, default=10),),
    enter=_vigor.crosses_above(_vigor_signal),
    exit=_vigor.crosses_below(_vigor_signal),
)

STOCHASTIC_EMA = Strategy(
    name="STOCHASTIC_EMA",
    description="Enter when the stochastic crosses above its exponential average in the oversold zone, leave when it "
    "crosses below it in the overbought zone (Lane 1984).",
    parameters=(
        Integer("ema", 2, 50, default=3),
        Integer("k", 5, 50, default=14),
        Real("overbought", 70.0, 90.0, default=80.0),
        Real("oversold", 10.0, 30.0, default=20.0),
    ),
    constraints=(P.oversold < P.overbought,),
    enter=_stochastic.crosses_above(_stochastic_average) & (_stochastic < P.oversold),
    exit=_stochastic.crosses_below(_stochastic_average) & (_stochastic > P.overbought),
)

STOCHASTIC_RSI = Strategy(
    name="STOCHASTIC_RSI",
    description="Enter when the smoothed stochastic of the RSI rises out of the oversold zone, leave when it falls out "
    "of the overbought zone (Chande & Kroll 1994).",
    parameters=(
        Integer("rsi", 5, 30, default=14),
        Integer("k", 5, 30, default=14),
        Integer("d", 3, 15, default=3),
        Real("overbought", 60.0, 95.0, default=80.0),
        Real("oversold", 5.0, 40.0, default=20.0),
    ),
    constraints=(P.oversold < P.overbought,),
    enter=_stochastic_rsi.crosses_above(P.oversold),
    exit=_stochastic_rsi.crosses_below(P.overbought),
)

OSCILLATORS = (
    SMA_RSI,
    ADX_STOCHASTIC,
    AWESOME_OSCILLATOR,
    ATR_CCI,
    CMO_MFI,
    ELDER_RAY_MA,
    KST_OSCILLATOR,
    MASS_INDEX,
    MOMENTUM_PINBALL,
    RAINBOW_OSCILLATOR,
    RVI,
    STOCHASTIC_EMA,
    STOCHASTIC_RSI,
)
