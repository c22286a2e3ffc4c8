"""Indicators as plain functions; importing the package fills `INDICATORS` with all of them."""

from alpharay.indicators import (
    adaptive_averages,
    bricks,
    channels,
    heikin_ashi,
    ichimoku,
    momentum,
    moving_averages,
    regression,
    stochastics,
    swings,
    trailing_stops,
    trend,
    volatility,
    volume,
    volume_profile,
)
from alpharay.indicators.registry import INDICATORS, Indicator, indicator

__all__ = [
    "INDICATORS",
    "Indicator",
    "adaptive_averages",
    "bricks",
    "channels",
    "heikin_ashi",
    "ichimoku",
    "indicator",
    "momentum",
    "moving_averages",
    "regression",
    "stochastics",
    "swings",
    "trailing_stops",
    "trend",
    "volatility",
    "volume",
    "volume_profile",
]
