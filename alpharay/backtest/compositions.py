"""Indicators that are arithmetic on simpler ones, so that a population computes each simple one once.

A thousand MACD lines need some fifty exponential averages. What is composed here has the same bits as the indicator of
its name: its definition is the indicator's own, written over registered indicators.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from alpharay.strategies.expression import Applied, Arithmetic, Level, Previous, Scalar, Series, ta


@dataclass(frozen=True, slots=True)
class Delayed(Series):
    """The value of `bars` bars ago, where `bars` may be chosen by the search."""

    of: Series
    bars: Scalar


@dataclass(frozen=True, slots=True)
class Late(Series):
    """A column read some bars late: the sum of `lags`."""

    of: Series
    lags: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Share(Series):
    """`part` over `whole`, and `when_zero` (0, 0.5 or 1) where the whole is zero."""

    part: Series
    whole: Series
    when_zero: float


def _ema_difference(line: Series, fast: Scalar, slow: Scalar) -> Series:
    return ta.ema(fast, of=line) - ta.ema(slow, of=line)


def _accumulation_distribution(high: Series, low: Series, close: Series, volume: Series) -> Series:
    return ta.accumulation_distribution(of=(high, low, close, volume))


def _awesome(high: Series, low: Series, fast: Scalar, slow: Scalar) -> Series:
    median = (high + low) / 2.0
    return ta.sma(fast, of=median) - ta.sma(slow, of=median)


def _middle(high: Series, low: Series, length: Scalar) -> Series:
    return (ta.highest(length, of=high) + ta.lowest(length, of=low)) / 2.0


def _stochastic_k(high: Series, low: Series, close: Series, length: Scalar) -> Series:
    floor = ta.lowest(length, of=low)
    return Share(close - floor, ta.highest(length, of=high) - floor, 0.5) * 100.0


def _williams_r(high: Series, low: Series, close: Series, length: Scalar) -> Series:
    ceiling = ta.highest(length, of=high)
    return Share(ceiling - close, ceiling - ta.lowest(length, of=low), 0.5) * -100.0


def _rate_of_change(close: Series, length: Scalar) -> Series:
    earlier = Delayed(close, length)
    return (close - earlier) / earlier * 100.0


def _tema(close: Series, length: Scalar) -> Series:
    once = ta.ema(length, of=close)
    twice = ta.ema(length, of=once)
    return once * 3.0 - twice * 3.0 + ta.ema(length, of=twice)


def _trix(close: Series, length: Scalar) -> Series:
    return _rate_of_change(ta.ema(length, of=ta.ema(length, of=ta.ema(length, of=close))), 1)


def _know_sure_thing(close: Series, *lengths: Scalar) -> Series:
    first, second, third, fourth = (
        ta.sma(average, of=_rate_of_change(close, ago)) for ago, average in zip(lengths[:4], lengths[4:], strict=True)
    )
    return first + second * 2.0 + third * 3.0 + fourth * 4.0


def _mass_index(high: Series, low: Series, smoothing: Scalar, length: Scalar) -> Series:
    once = ta.ema(smoothing, of=high - low)
    return ta.sma(length, of=Share(once, ta.ema(smoothing, of=once), 1.0)) * length


COMPOSITIONS: dict[str, Callable[..., Series]] = {
    "macd": _ema_difference,
    "macd_signal": lambda close, fast, slow, signal: ta.ema(signal, of=_ema_difference(close, fast, slow)),
    "ppo": lambda close, fast, slow: _ema_difference(close, fast, slow) / ta.ema(slow, of=close) * 100.0,
    "chaikin_oscillator": lambda high, low, close, volume, fast, slow: _ema_difference(
        _accumulation_distribution(high, low, close, volume), fast, slow
    ),
    "klinger": lambda high, low, close, volume, fast, slow: _ema_difference(
        ta.volume_force(of=(high, low, close, volume)), fast, slow
    ),
    "awesome_oscillator": _awesome,
    "bollinger_upper": lambda close, length, width: (
        ta.sma(length, of=close) + ta.standard_deviation(length, of=close) * width
    ),
    "bollinger_lower": lambda close, length, width: (
        ta.sma(length, of=close) - ta.standard_deviation(length, of=close) * width
    ),
    "bull_power": lambda high, close, length: high - ta.ema(length, of=close),
    "bear_power": lambda low, close, length: low - ta.ema(length, of=close),
    "natr": lambda high, low, close, length: ta.atr(length, of=(high, low, close)) / close * 100.0,
    "roc": _rate_of_change,
    "momentum": lambda close, length: close - Delayed(close, length),
    "trix": _trix,
    "dema": lambda close, length: ta.ema(length, of=close) * 2.0 - ta.ema(length, of=ta.ema(length, of=close)),
    "tema": _tema,
    "kst": _know_sure_thing,
    "mass_index": _mass_index,
    "force_index": lambda close, volume, length: ta.ema(length, of=(close - Delayed(close, 1)) * volume),
    "stochastic_k": _stochastic_k,
    "stochastic_d": lambda high, low, close, length, smoothing: ta.sma(
        smoothing, of=_stochastic_k(high, low, close, length)
    ),
    "williams_r": _williams_r,
    "ichimoku_tenkan": _middle,
    "ichimoku_kijun": _middle,
    "ichimoku_span_a": lambda high, low, tenkan, kijun, displacement: Delayed(
        (_middle(high, low, tenkan) + _middle(high, low, kijun)) / 2.0, displacement
    ),
    "ichimoku_span_b": lambda high, low, length, displacement: Delayed(_middle(high, low, length), displacement),
    "pivot_point": lambda high, low, close, length: Delayed(
        (ta.highest(length, of=high) + ta.lowest(length, of=low) + close) / 3.0, 1
    ),
}
"""Indicator -> its definition; takes the inputs and the parameters of the indicator of that name."""


def expand(node: Series) -> Series:
    """Return `node` with every composed indicator in it written out."""
    match node:
        case Applied(indicator=name, inputs=inputs, parameters=parameters):
            parts = tuple(expand(part) for part in inputs)
            compose = COMPOSITIONS.get(name)
            return Applied(name, parts, parameters) if compose is None else expand(compose(*parts, *parameters))
        case Arithmetic(operator=operator, left=left, right=right):
            return Arithmetic(operator, expand(left), expand(right))
        case Share(part=left, whole=right, when_zero=when_zero):
            return Share(expand(left), expand(right), when_zero)
        case Previous(of=of, bars=bars):
            return Previous(expand(of), bars)
        case Delayed(of=of, bars=lag):
            return Delayed(expand(of), lag)
    return node


def push_lags(node: Series, lags: tuple[Scalar, ...] = ()) -> Series:
    """Return `node`, `lags` bars late, with every delay moved to the columns that arithmetic is over.

    So none needs a value of arithmetic of some bars ago: a stored column has them all.
    """
    match node:
        case Arithmetic(operator=operator, left=left, right=right) if _has_column(node):
            return Arithmetic(operator, push_lags(left, lags), push_lags(right, lags))
        case Share(part=left, whole=right, when_zero=when_zero):
            return Share(push_lags(left, lags), push_lags(right, lags), when_zero)
        case Previous(of=of, bars=bars) | Delayed(of=of, bars=bars) if _has_column(of):
            return push_lags(of, (*lags, bars))
        case Level() | Arithmetic():
            # Numbers. With a column beside them it tells where nothing is known yet.
            return node
        case Applied(indicator=name, inputs=inputs, parameters=parameters):
            node = Applied(name, tuple(push_lags(part) for part in inputs), parameters)
    return Late(node, lags) if lags else node


def _has_column(node: Series) -> bool:
    # A number of some bars ago is missing on the first bars, which no column tells then.
    match node:
        case Level():
            return False
        case Arithmetic(left=left, right=right) | Share(part=left, whole=right):
            return _has_column(left) or _has_column(right)
        case Previous(of=of) | Delayed(of=of):
            return _has_column(of)
    return True
