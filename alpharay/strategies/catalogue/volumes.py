"""Volume confirms or leads the price."""

from __future__ import annotations

from alpharay.strategies.expression import P, close, high, low, open_, ta, volume
from alpharay.strategies.strategy import Integer, Real, Strategy

_chaikin = ta.chaikin_oscillator(P.fast, P.slow)
_obv = ta.obv()
_klinger = ta.klinger(P.fast, P.slow)
_klinger_signal = ta.ema(P.signal, of=_klinger)
_price_volume = ta.vpt()
_price_volume_signal = ta.ema(P.signal, of=_price_volume)
_weighted_macd = ta.volume_weighted_ema(P.short) - ta.volume_weighted_ema(P.long)
_weighted_signal = ta.ema(P.signal, of=_weighted_macd)
_facilitation = ta.market_facilitation()
# Williams' green bar: more volume than the bar before, and each unit of it moves the price further.
_green = (_facilitation > _facilitation.previous()) & (volume > volume.previous())
_average = ta.sma(P.length)
_spread = high - low
# Effort: more volume and a wider bar than the bars before had.
_effort = (volume / ta.sma(P.length, of=volume).previous() > P.multiple) & (
    _spread > ta.sma(P.length, of=_spread).previous()
)
_above_low, _below_high = close - low, high - close

CHAIKIN_OSCILLATOR = Strategy(
    name="CHAIKIN_OSCILLATOR",
    description="Hold while the Chaikin oscillator is above zero, from cross to cross (Achelis 1995).",
    parameters=(Integer("fast", 2, 20, default=3), Integer("slow", 5, 50, default=10)),
    constraints=(P.fast < P.slow,),
    enter=_chaikin.crosses_above(0.0),
    exit=_chaikin.crosses_below(0.0),
)

CMF_ZERO_LINE = Strategy(
    name="CMF_ZERO_LINE",
    description="Hold while the Chaikin money flow is above zero, from cross to cross (Achelis 1995).",
    parameters=(Integer("length", 10, 50, default=20),),
    enter=ta.cmf(P.length).crosses_above(0.0),
    exit=ta.cmf(P.length).crosses_below(0.0),
)

OBV_EMA = Strategy(
    name="OBV_EMA",
    description="Hold from where on-balance volume crosses above its exponential average until it crosses back "
    "(Granville 1963).",
    parameters=(Integer("ema", 10, 50, default=20),),
    enter=_obv.crosses_above(ta.ema(P.ema, of=_obv)),
    exit=_obv.crosses_below(ta.ema(P.ema, of=_obv)),
)

VWAP_CROSSOVER = Strategy(
    name="VWAP_CROSSOVER",
    description="Hold from where the close crosses above the rolling volume-weighted average price until it crosses "
    "back (Berkowitz, Logue & Noser 1988).",
    parameters=(Integer("length", 10, 50, default=20),),
    enter=close.crosses_above(ta.vwap(P.length)),
    exit=close.crosses_below(ta.vwap(P.length)),
)

KLINGER_VOLUME = Strategy(
    name="KLINGER_VOLUME",
    description="Hold from where the Klinger volume oscillator crosses above its exponential signal line until it "
    "crosses back (Klinger 1997).",
    parameters=(
        Integer("fast", 5, 50, default=34),
        Integer("slow", 20, 100, default=55),
        Integer("signal", 5, 20, default=13),
    ),
    constraints=(P.fast < P.slow,),
    enter=_klinger.crosses_above(_klinger_signal),
    exit=_klinger.crosses_below(_klinger_signal),
)

PVT = Strategy(
    name="PVT",
    description="Hold from where the price and volume trend crosses above its exponential signal line until it crosses "
    "back (Achelis 1995).",
    parameters=(Integer("signal", 10, 50, default=20),),
    enter=_price_volume.crosses_above(_price_volume_signal),
    exit=_price_volume.crosses_below(_price_volume_signal),
)

VPT = Strategy(
    name="VPT",
    description="Volume leads the price: enter when the volume price trend is above its highest value of the bars "
    "before, leave when it is below its lowest, as Granville reads the field trend of volume (Granville 1963).",
    parameters=(Integer("length", 10, 50, default=20),),
    enter=_price_volume > ta.highest(P.length, of=_price_volume).previous(),
    exit=_price_volume < ta.lowest(P.length, of=_price_volume).previous(),
)

TICK_VOLUME_ANALYSIS = Strategy(
    name="TICK_VOLUME_ANALYSIS",
    description="Enter on a green bar of the market facilitation index (tick volume and range per tick both above the "
    "bar before) that rises and closes above the average; leave on one that falls and closes below it (Williams 1995).",
    parameters=(Integer("length", 10, 50, default=20),),
    enter=_green & (close > open_) & (close > _average),
    exit=_green & (close < open_) & (close < _average),
)

VOLUME_WEIGHTED_MACD = Strategy(
    name="VOLUME_WEIGHTED_MACD",
    description="Hold from where the difference of two volume weighted exponential averages crosses above its "
    "exponential signal line until it crosses back (Dormeier 2011).",
    parameters=(
        Integer("short", 5, 20, default=12),
        Integer("long", 15, 50, default=26),
        Integer("signal", 5, 15, default=9),
    ),
    constraints=(P.short < P.long,),
    enter=_weighted_macd.crosses_above(_weighted_signal),
    exit=_weighted_macd.crosses_below(_weighted_signal),
)

VOLUME_SPREAD_ANALYSIS = Strategy(
    name="VOLUME_SPREAD_ANALYSIS",
    description="Enter on stopping volume: a wide bar on high volume makes a new low and closes in its upper half. "
    "Leave on an upthrust, the mirror image at a new high, or when the close makes a new low after all (Williams "
    "1993).",
    parameters=(Integer("length", 10, 50, default=20), Real("multiple", 1.0, 3.0, default=1.5)),
    enter=_effort & (low < ta.lowest(P.length).previous()) & (_above_low > _below_high),
    exit=(_effort & (high > ta.highest(P.length).previous()) & (_above_low < _below_high))
    | (close < ta.lowest(P.length).previous()),
)

VOLUMES = (
    CHAIKIN_OSCILLATOR,
    CMF_ZERO_LINE,
    OBV_EMA,
    VWAP_CROSSOVER,
    KLINGER_VOLUME,
    PVT,
    VPT,
    TICK_VOLUME_ANALYSIS,
    VOLUME_WEIGHTED_MACD,
    VOLUME_SPREAD_ANALYSIS,
)
