"""One average or line crosses another."""

from __future__ import annotations

from alpharay.strategies.expression import P, ta
from alpharay.strategies.strategy import Integer, Strategy

_macd = ta.macd(P.fast, P.slow)
_macd_signal = ta.macd_signal(P.fast, P.slow, P.signal)
_short, _medium, _long = ta.ema(P.short), ta.ema(P.medium), ta.ema(P.long)
_rsi = ta.rsi(P.rsi)
_roc = ta.roc(P.roc)
_trix = ta.trix(P.trix)

SMA_EMA_CROSSOVER = Strategy(
    name="SMA_EMA_CROSSOVER",
    description="Hold from where the fast simple average crosses above the slow exponential one until it crosses back.",
    parameters=(Integer("sma", 5, 50, default=20), Integer("ema", 5, 50, default=50)),
    enter=ta.sma(P.sma).crosses_above(ta.ema(P.ema)),
    exit=ta.sma(P.sma).crosses_below(ta.ema(P.ema)),
)

DOUBLE_EMA_CROSSOVER = Strategy(
    name="DOUBLE_EMA_CROSSOVER",
    description="Hold from where the short exponential average crosses above the long one until it crosses back.",
    parameters=(Integer("short", 2, 30, default=12), Integer("long", 10, 100, default=26)),
    constraints=(P.short < P.long,),
    enter=_short.crosses_above(_long),
    exit=_short.crosses_below(_long),
)

TRIPLE_EMA_CROSSOVER = Strategy(
    name="TRIPLE_EMA_CROSSOVER",
    description="Enter when the short average crosses the medium or the medium the long one upwards with the other "
    "pair already in order; leave when either pair crosses downwards.",
    parameters=(
        Integer("short", 2, 20, default=8),
        Integer("medium", 10, 50, default=21),
        Integer("long", 20, 100, default=55),
    ),
    constraints=(P.short < P.medium, P.medium < P.long),
    enter=(_short.crosses_above(_medium) & (_medium > _long)) | (_medium.crosses_above(_long) & (_short > _medium)),
    exit=_short.crosses_below(_medium) | _medium.crosses_below(_long),
)

MACD_CROSSOVER = Strategy(
    name="MACD_CROSSOVER",
    description="Hold from where the MACD line crosses above its signal line until it crosses back (Appel 1979).",
    parameters=(
        Integer("fast", 5, 20, default=12),
        Integer("slow", 15, 50, default=26),
        Integer("signal", 5, 20, default=9),
    ),
    constraints=(P.fast < P.slow,),
    enter=_macd.crosses_above(_macd_signal),
    exit=_macd.crosses_below(_macd_signal),
)

RSI_EMA_CROSSOVER = Strategy(
    name="RSI_EMA_CROSSOVER",
    description="Enter when the RSI crosses above its average while not overbought; leave when it crosses back.",
    parameters=(Integer("rsi", 5, 30, default=14), Integer("ema", 5, 20, default=10)),
    enter=_rsi.crosses_above(ta.ema(P.ema, of=_rsi)) & (_rsi < 70.0),
    exit=_rsi.crosses_below(ta.ema(P.ema, of=_rsi)),
)

ROC_MA_CROSSOVER = Strategy(
    name="ROC_MA_CROSSOVER",
    description="Hold from where the rate of change crosses above its exponential average until it crosses back.",
    parameters=(Integer("roc", 5, 50, default=10), Integer("ema", 5, 50, default=20)),
    enter=_roc.crosses_above(ta.ema(P.ema, of=_roc)),
    exit=_roc.crosses_below(ta.ema(P.ema, of=_roc)),
)

TRIX_SIGNAL_LINE = Strategy(
    name="TRIX_SIGNAL_LINE",
    description="Hold from where TRIX crosses above its signal average until it crosses back (Hutson 1983).",
    parameters=(Integer("trix", 5, 50, default=15), Integer("signal", 3, 20, default=9)),
    enter=_trix.crosses_above(ta.sma(P.signal, of=_trix)),
    exit=_trix.crosses_below(ta.sma(P.signal, of=_trix)),
)

CROSSOVERS = (
    SMA_EMA_CROSSOVER,
    DOUBLE_EMA_CROSSOVER,
    TRIPLE_EMA_CROSSOVER,
    MACD_CROSSOVER,
    RSI_EMA_CROSSOVER,
    ROC_MA_CROSSOVER,
    TRIX_SIGNAL_LINE,
)
