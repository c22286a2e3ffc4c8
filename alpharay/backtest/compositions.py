"""Indicators that are arithmetic on simpler ones, so that a population computes each simple one once.

A thousand MACD lines need some fifty exponential averages. What is composed here has the same bits as the indicator of
its name: its definition is the indicator's own, written over registered indicators.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from alpharay.strategies.expression import Applied, Arithmetic, Previous, Scalar, Series, ta


@dataclass(frozen=True, slots=True)
class Delayed(Series):
    """The value of `bars` bars ago, where `bars` may be chosen by the search."""

    of: Series
    bars: Scalar


def _ema_difference(line: Series, fast: Scalar, slow: Scalar) -> Series:
    return ta.ema(fast, of=line) - ta.ema(slow, of=line)


def _accumulation_distribution(high: Series, low: Series, close: Series, volume: Series) -> Series:
    return ta.accumulation_distribution(of=(high, low, close, volume))


def _awesome(high: Series, low: Series, fast: Scalar, slow: Scalar) -> Series:
    median = (high + low) / 2.0
    return ta.sma(fast, of=median) - ta.sma(slow, of=median)


def _middle(high: Series, low: Series, length: Scalar) -> Series:
    return (ta.highest(length, of=high) + ta.lowest(length, of=low)) / 2.0


COMPOSITIONS: dict[str, Callable[..., Series]] = {
    "macd": _ema_difference,
    "macd_signal": lambda close, fast, slow, signal: ta.ema(signal, of=_ema_difference(close, fast, slow)),
    "chaikin_oscillator": lambda high, low, close, volume, fast, slow: _ema_difference(
        _accumulation_distribution(high, low, close, volume), fast, slow
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
    "ichimoku_tenkan": _middle,
    "ichimoku_kijun": _middle,
    "ichimoku_span_a": lambda high, low, tenkan, kijun, displacement: Delayed(
        (_middle(high, low, tenkan) + _middle(high, low, kijun)) / 2.0, displacement
    ),
    "ichimoku_span_b": lambda high, low, length, displacement: Delayed(_middle(high, low, length), displacement),
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
        case Previous(of=of, bars=bars):
            return Previous(expand(of), bars)
        case Delayed(of=of, bars=lag):
            return Delayed(expand(of), lag)
    return node
