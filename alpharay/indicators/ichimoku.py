"""Ichimoku Kinko Hyo (Hosoda 1969), every line as it is seen at its bar: nothing is read from the future."""

from __future__ import annotations

from alpharay.indicators.registry import indicator
from alpharay.indicators.windows import lagged, window_highest, window_lowest
from alpharay.market.candles import FloatArray


@indicator(inputs=("high", "low"), warm_up=lambda length: length - 1)
def ichimoku_tenkan(high: FloatArray, low: FloatArray, length: int) -> FloatArray:
    """Return the conversion line: the middle of the range of `length` bars (usual 9)."""
    return _middle(high, low, length)


@indicator(inputs=("high", "low"), warm_up=lambda length: length - 1)
def ichimoku_kijun(high: FloatArray, low: FloatArray, length: int) -> FloatArray:
    """Return the base line: the middle of the range of `length` bars (usual 26)."""
    return _middle(high, low, length)


@indicator(
    inputs=("high", "low"),
    warm_up=lambda tenkan, kijun, displacement: max(tenkan, kijun) - 1 + displacement,
)
def ichimoku_span_a(high: FloatArray, low: FloatArray, tenkan: int, kijun: int, displacement: int) -> FloatArray:
    """Return the cloud's first edge: the mean of both lines `displacement` bars ago (usual 9, 26, 26)."""
    return lagged((_middle(high, low, tenkan) + _middle(high, low, kijun)) / 2.0, displacement)


@indicator(inputs=("high", "low"), warm_up=lambda length, displacement: length - 1 + displacement)
def ichimoku_span_b(high: FloatArray, low: FloatArray, length: int, displacement: int) -> FloatArray:
    """Return the cloud's second edge: the middle of the range, `displacement` bars ago (usual 52, 26)."""
    return lagged(_middle(high, low, length), displacement)


def _middle(high: FloatArray, low: FloatArray, length: int) -> FloatArray:
    return (window_highest(high, length) + window_lowest(low, length)) / 2.0
