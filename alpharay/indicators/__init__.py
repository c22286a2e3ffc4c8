"""Indicators as plain functions; importing the package fills `INDICATORS` with all of them."""

from alpharay.indicators import (
    channels,
    heikin_ashi,
    ichimoku,
    momentum,
    moving_averages,
    regression,
    stochastics,
    trend,
    volatility,
    volume,
)
from alpharay.indicators.registry import INDICATORS, Indicator, indicator

__all__ = [
    "INDICATORS",
    "Indicator",
    "channels",
    "heikin_ashi",
    "ichimoku",
    "indicator",
    "momentum",
    "moving_averages",
    "regression",
    "stochastics",
    "trend",
    "volatility",
    "volume",
]
