"""One average or line crosses another, or the price crosses an average."""

from __future__ import annotations

from alpharay.strategies.expression import P, close, ta
from alpharay.strategies.strategy import Integer, Strategy

_macd = ta.macd(P.fast, P.slow)
_macd_signal = ta.macd_signal(P.fast, P.slow, P.signal)
_short, _medium, _long = ta.ema(P.short), ta.ema(P.medium), ta.ema(P.long)
_rsi = ta.rsi(P.rsi)
_roc = ta.roc(P.roc)
_trix = ta.trix(P.trix)
_dema, _tema = ta.dema(P.dema), ta.tema(P.tema)
_dpo = ta.dpo(P.dpo)
_dpo_average = ta.sma(P.ma, of=_dpo)
_trend_macd, _trend_signal = ta.macd(P.short, P.long), ta.macd_signal(P.short, P.long, P.signal)
_trend = ta.ema(P.trend)
_momentum = ta.momentum(P.momentum)
_momentum_average = ta.sma(P.sma, of=_momentum)
_fractal = ta.frama(P.half)
_variable = ta.vidya(P.length, P.momentum)
_ppo = ta.ppo(P.fast, P.slow)
_ppo_signal = ta.ema(P.signal, of=_ppo)

SMA_EMA_CROSSOVER = Strategy(
    name="SMA_EMA_CROSSOVER",
    description="Hold from where the fast simple average crosses above the slow exponential one until it crosses back "
    "(Murphy 1999).",
    parameters=(Integer("sma", 5, 50, default=20), Integer("ema", 5, 50, default=50)),
    enter=ta.sma(P.sma).crosses_above(ta.ema(P.ema)),
    exit=ta.sma(P.sma).crosses_below(ta.ema(P.ema)),
)

DOUBLE_EMA_CROSSOVER = Strategy(
    name="DOUBLE_EMA_CROSSOVER",
    description="Hold from where the short exponential average crosses above the long one until it crosses back (Appel "
    "2005).",
    parameters=(Integer("short", 2, 30, default=12), Integer("long", 10, 100, default=26)),
    constraints=(P.short < P.long,),
    enter=_short.crosses_above(_long),
    exit=_short.crosses_below(_long),
)

TRIPLE_EMA_CROSSOVER = Strategy(
    name="TRIPLE_EMA_CROSSOVER",
    description="Enter when the short average crosses the medium or the medium the long one upwards with the other "
    "pair already in order; leave when either pair crosses downwards (Allen 1974).",
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
    description="Enter when the RSI crosses above its average while not overbought; leave when it crosses back (Wilder "
    "1978 for the index, Brown 1999 for averages of it).",
    parameters=(Integer("rsi", 5, 30, default=14), Integer("ema", 5, 20, default=10)),
    enter=_rsi.crosses_above(ta.ema(P.ema, of=_rsi)) & (_rsi < 70.0),
    exit=_rsi.crosses_below(ta.ema(P.ema, of=_rsi)),
)

ROC_MA_CROSSOVER = Strategy(
    name="ROC_MA_CROSSOVER",
    description="Hold from where the rate of change crosses above its exponential average until it crosses back "
    "(Murphy 1999).",
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

DEMA_TEMA_CROSSOVER = Strategy(
    name="DEMA_TEMA_CROSSOVER",
    description="Hold from where the double exponential average crosses above the triple one until it crosses back "
    "(Mulloy 1994).",
    parameters=(Integer("dema", 5, 50, default=12), Integer("tema", 5, 50, default=26)),
    enter=_dema.crosses_above(_tema),
    exit=_dema.crosses_below(_tema),
)

DPO_CROSSOVER = Strategy(
    name="DPO_CROSSOVER",
    description="Hold from where the detrended price crosses above its own average until it crosses back "
    "(Achelis 1995). The detrended price compares an older close with today's average: no bar ahead is read.",
    parameters=(Integer("dpo", 5, 50, default=20), Integer("ma", 5, 50, default=10)),
    enter=_dpo.crosses_above(_dpo_average),
    exit=_dpo.crosses_below(_dpo_average),
)

EMA_MACD = Strategy(
    name="EMA_MACD",
    description="Enter when the MACD line crosses above its signal line with the close above a long exponential "
    "average; leave when either turns down: MACD signals with the trend only (Appel 2005).",
    parameters=(
        Integer("short", 2, 20, default=12),
        Integer("long", 10, 50, default=26),
        Integer("signal", 5, 20, default=9),
        Integer("trend", 20, 200, default=100),
    ),
    constraints=(P.short < P.long,),
    enter=_trend_macd.crosses_above(_trend_signal) & (close > _trend),
    exit=_trend_macd.crosses_below(_trend_signal) | close.crosses_below(_trend),
)

FRAMA = Strategy(
    name="FRAMA",
    description="Hold from where the close crosses above the fractal adaptive average of twice `half` bars until it "
    "crosses back (Ehlers 2005).",
    parameters=(Integer("half", 4, 30, default=8),),
    enter=close.crosses_above(_fractal),
    exit=close.crosses_below(_fractal),
)

VARIABLE_PERIOD_EMA = Strategy(
    name="VARIABLE_PERIOD_EMA",
    description="Hold from where the close crosses above an exponential average whose period the momentum sets, "
    "`length` in a pure trend and longer the less there is of one, until it crosses back (VIDYA: Chande 1992).",
    parameters=(Integer("length", 5, 50, default=12), Integer("momentum", 5, 50, default=9)),
    enter=close.crosses_above(_variable),
    exit=close.crosses_below(_variable),
)

MOMENTUM_SMA_CROSSOVER = Strategy(
    name="MOMENTUM_SMA_CROSSOVER",
    description="Enter when a positive momentum crosses above its simple average, leave when it crosses below it "
    "(Murphy 1999).",
    parameters=(Integer("momentum", 5, 30, default=10), Integer("sma", 5, 50, default=20)),
    enter=(_momentum > 0.0) & _momentum.crosses_above(_momentum_average),
    exit=_momentum.crosses_below(_momentum_average),
)

PRICE_OSCILLATOR_SIGNAL = Strategy(
    name="PRICE_OSCILLATOR_SIGNAL",
    description="Hold from where the percentage price oscillator crosses above its exponential signal line until it "
    "crosses back (Achelis 1995). Percent of the slow average, so a rising price does not stretch it.",
    parameters=(
        Integer("fast", 5, 20, default=12),
        Integer("slow", 10, 50, default=26),
        Integer("signal", 5, 20, default=9),
    ),
    constraints=(P.fast < P.slow,),
    enter=_ppo.crosses_above(_ppo_signal),
    exit=_ppo.crosses_below(_ppo_signal),
)

CROSSOVERS = (
    SMA_EMA_CROSSOVER,
    DOUBLE_EMA_CROSSOVER,
    TRIPLE_EMA_CROSSOVER,
    MACD_CROSSOVER,
    RSI_EMA_CROSSOVER,
    ROC_MA_CROSSOVER,
    TRIX_SIGNAL_LINE,
    DEMA_TEMA_CROSSOVER,
    DPO_CROSSOVER,
    EMA_MACD,
    FRAMA,
    VARIABLE_PERIOD_EMA,
    MOMENTUM_SMA_CROSSOVER,
    PRICE_OSCILLATOR_SIGNAL,
)
