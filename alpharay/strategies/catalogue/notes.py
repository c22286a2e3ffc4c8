"""Where a strategy differs from the one of the same name in TradeStream, and why."""

from __future__ import annotations

NOTES: dict[str, str] = {
    "ADX_STOCHASTIC": "TradeStream also searches a length for %D, which its rule does not use.",
    "AROON_MFI": "TradeStream wants an oversold flow on the very bar of the Aroon cross, a new high, which hardly "
    "ever happens, and leaves in an uptrend only. Its YAML reads Chaikin's money flow (-1 to 1) on a scale of 0 to "
    "100.",
    "ATR_CCI": "TradeStream tests levels (above -100, below +100), which both hold most of the time; here the index "
    "crosses them.",
    "ATR_TRAILING_STOP": "TradeStream enters on every rising close and leaves on one fall of some average true "
    "ranges within a bar; there is no stop that trails, and no genome of it can be evaluated.",
    "BBAND_W_R": "TradeStream cannot evaluate any genome of it: all genes are forced to the type of the first.",
    "CMO_MFI": "TradeStream wants an oversold flow on the bar on which the momentum turns positive, a "
    "contradiction; here the flow must not be overbought.",
    "DONCHIAN_BREAKOUT": "TradeStream's channel holds the bar itself, so no close is ever outside it.",
    "DOUBLE_TOP_BOTTOM": "TradeStream's rule is the close crossing its exponential average: no top, no bottom.",
    "ELDER_RAY_MA": "TradeStream crosses either power with zero and leaves out the slope of the average, Elder's "
    "first condition.",
    "EMA_MACD": "TradeStream's rule is MACD_CROSSOVER again; the long average that the name asks for is added.",
    "FIBONACCI_RETRACEMENTS": "TradeStream's rule is the close crossing its exponential average: no swing, no levels.",
    "FRAMA": "TradeStream's average is no fractal one, and its genes stay frozen at their defaults. Its genes sc, "
    "fc and alpha make way for half the window.",
    "GANN_SWING": "TradeStream's rule does nothing. Swings of up to 100 bars in a row do not occur: the gene ends "
    "at 10.",
    "HEIKEN_ASHI": "TradeStream's open is not the middle of the body before, so its candles are not Heikin-Ashi "
    "ones; its gene is only a warm-up.",
    "ICHIMOKU_CLOUD": "TradeStream reads the cloud 26 bars ahead. Its fourth gene, unused there, is the "
    "displacement here.",
    "KLINGER_VOLUME": "TradeStream enters and leaves on a cross either way and so never leaves; its ranges leave "
    "out Klinger's own 34, 55, 13.",
    "KST_OSCILLATOR": "TradeStream takes Pring's smoothing for its rates' spans; its YAML has only one of the four.",
    "LINEAR_REGRESSION_CHANNELS": "TradeStream turns the width into a whole number outside its range.",
    "MASS_INDEX": "TradeStream averages instead of summing, so the index never gets near 27; it knows no direction. "
    "The thresholds here grow with the number of terms.",
    "MOMENTUM_PINBALL": "TradeStream compares two rates of change. Its name is that of Raschke's set-up: a short "
    "RSI of the one-bar momentum and a break of the bar.",
    "MOMENTUM_SMA_CROSSOVER": "TradeStream leaves only once the momentum is negative.",
    "OBV_EMA": "TradeStream enters and leaves on a cross either way and so never leaves.",
    "PARABOLIC_SAR": "TradeStream enters on every bar above the stop; here on the cross, as the stop and reverse says.",
    "PIVOT": "TradeStream's pivot holds the bar itself; a floor pivot comes from the bars before.",
    "PRICE_GAP": "TradeStream's rule is the close crossing its exponential average: no gap.",
    "PRICE_OSCILLATOR_SIGNAL": "TradeStream's rule is MACD_CROSSOVER again; the price oscillator is in percent.",
    "PVT": "TradeStream's PVT and VPT are one rule. Here this is the signal line, and VPT the breakout. Its YAML "
    "has the positive volume index under this name.",
    "RAINBOW_OSCILLATOR": "TradeStream's rule is a percentage oscillator of two averages and one unused gene; "
    "Widner's rainbow has ten averages of averages.",
    "RANGE_BARS": "TradeStream's rule does nothing. The size is in percent of the price, not in its units.",
    "REGRESSION_CHANNEL": "TradeStream has no channel, only the close crossing the line's end; "
    "LINEAR_REGRESSION_CHANNELS trades the break of one, this strategy the return into one.",
    "RENKO_CHART": "TradeStream's brick is in units of the price, the same for a coin of 0.01 and of 100,000, and "
    "its rule buys the same brick again and again. Here it is in percent and a reversal takes two bricks.",
    "ROC_MA_CROSSOVER": "As TradeStream's; its YAML has a simple average.",
    "RSI_EMA_CROSSOVER": "TradeStream stays in when the index crosses down below 30; here every cross down leaves.",
    "RVI": "TradeStream averages the quotients of the bars with a simple signal line, and its YAML has the RSI "
    "instead; here both parts are weighted and averaged as Ehlers has it.",
    "SAR_MFI": "TradeStream's rule does nothing, its YAML reads Chaikin's money flow on a scale of 0 to 100. Steps "
    "of up to 0.2 and limits of up to 1 let no stop trail: the ranges are PARABOLIC_SAR's.",
    "SMA_RSI": "TradeStream turns the two zones into whole numbers outside their ranges.",
    "STOCHASTIC_EMA": "TradeStream leaves on the first cross down wherever it is, and searches an unused length of %D.",
    "STOCHASTIC_RSI": "TradeStream computes the RSI and then trades the stochastic of the price, above oversold and "
    "below overbought.",
    "TICK_VOLUME_ANALYSIS": "TradeStream multiplies the change of the price by that of the volume, whatever their "
    "signs; the textbook on tick volume is Williams' market facilitation index.",
    "TRIPLE_EMA_CROSSOVER": "TradeStream enters on a cross of either pair, even against the other one.",
    "TRIX_SIGNAL_LINE": "As TradeStream's; its YAML has the triple average itself instead of its change.",
    "VARIABLE_PERIOD_EMA": "TradeStream's period is the fixed middle of two genes, its rule the close crossing that "
    "average; Chande's average has a period that varies.",
    "VOLATILITY_STOP": "TradeStream enters on a fall; there is no stop that follows, and no genome of it can be "
    "evaluated.",
    "VOLUME_BREAKOUT": "TradeStream leaves as soon as the volume is quiet, which is on nearly every next bar; its "
    "averages have fixed lengths.",
    "VOLUME_PROFILE": "TradeStream's rules are always true: it enters and never leaves. There is no profile.",
    "VOLUME_PROFILE_DEVIATIONS": "TradeStream's rules are always true: it enters and never leaves. There is no "
    "profile.",
    "VOLUME_SPREAD_ANALYSIS": "TradeStream crosses a product of volume, spread and place of the close with its "
    "average, which grows with effort in either direction; here are Williams' stopping volume and upthrust.",
    "VOLUME_WEIGHTED_MACD": "TradeStream's rule is MACD_CROSSOVER again, without any volume.",
    "VPT": "TradeStream's VPT and PVT are one rule. Here this is the breakout, and PVT the signal line. Its YAML "
    "has the negative volume index under this name.",
    "VWAP_CROSSOVER": "TradeStream also searches a length that its rule does not use.",
    "VWAP_MEAN_REVERSION": "TradeStream's band is the distance between two averages, it enters above the upper band "
    "as well as below the lower one, and its width becomes a whole number outside its range.",
}
"""By name; a strategy that is not here has TradeStream's own rule, ranges and defaults."""
