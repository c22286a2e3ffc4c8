"""Stops that follow the price at a distance of some average true ranges and change sides when it is hit.

Many stops advance together, one lane each, as the averages in `smoothing` do.
"""

from __future__ import annotations

import numpy as np

from alpharay.indicators.kernel import kernel
from alpharay.indicators.registry import indicator, whole
from alpharay.indicators.smoothing import TILE, wilder_averages
from alpharay.indicators.volatility import true_range
from alpharay.market.candles import FloatArray, IntArray


@indicator(
    inputs=("high", "low", "close"),
    warm_up=lambda length, multiple: length,  # noqa: ARG005
    memory="recursive",
    batch=lambda high, low, close, parameters, out: _write_ratchets(
        close, *_ranges(high, low, close, parameters), parameters[:, 1], out
    ),
)
def atr_trailing_stop(high: FloatArray, low: FloatArray, close: FloatArray, length: int, multiple: float) -> FloatArray:
    """Return the stop `multiple` average true ranges from the close, which only ever moves towards the price.

    Below the price it never falls, above it never rises; a close beyond it begins the other side (Vervoort, Stocks &
    Commodities, June 2009; usual 5, 3.5). It begins below the price.
    """
    parameters = np.array([[length, multiple]])
    out = np.empty((1, len(close)))
    _write_ratchets(close, *_ranges(high, low, close, parameters), parameters[:, 1], out)
    return out[0]


@indicator(
    inputs=("high", "low", "close"),
    warm_up=lambda length, multiple: length,  # noqa: ARG005
    memory="recursive",
    batch=lambda high, low, close, parameters, out: _write_reversals(
        close, *_ranges(high, low, close, parameters), parameters[:, 1], out
    ),
)
def volatility_stop(high: FloatArray, low: FloatArray, close: FloatArray, length: int, multiple: float) -> FloatArray:
    """Return Wilder's volatility stop: `multiple` average true ranges from the best close of the position.

    The range is today's, so the stop gives way when the market grows wilder. A close beyond it reverses the position,
    whose best close is then this one (Wilder 1978, volatility system; usual 7, 3). It begins long.
    """
    parameters = np.array([[length, multiple]])
    out = np.empty((1, len(close)))
    _write_reversals(close, *_ranges(high, low, close, parameters), parameters[:, 1], out)
    return out[0]


def _ranges(
    high: FloatArray, low: FloatArray, close: FloatArray, parameters: FloatArray
) -> tuple[FloatArray, IntArray]:
    """Return the average true range of each distinct length, and each parameter set's row among them."""
    lengths, places = np.unique(whole(parameters[:, 0]), return_inverse=True)
    return wilder_averages(true_range(high, low, close), lengths), places


@kernel
def _write_ratchets(
    close: FloatArray, ranges: FloatArray, places: IntArray, multiples: FloatArray, out: FloatArray
) -> None:
    lanes, bars = out.shape
    distances = np.empty((TILE, lanes))
    stops = np.empty((TILE, lanes))
    stop = np.full(lanes, np.nan)
    for start in range(0, bars, TILE):
        size = min(TILE, bars - start)
        _scale(ranges, places, multiples, start, size, distances)
        for i in range(size):
            price = close[start + i]
            before = close[max(start + i - 1, 0)]
            for lane in range(lanes):
                held = stop[lane]
                below, above = price - distances[i, lane], price + distances[i, lane]
                under = held if before > held and held > below else below
                over = held if before < held and price < held and held < above else above
                stop[lane] = under if price > held or held != held else over
            stops[i] = stop
        _store(stops, start, size, out)


@kernel
def _write_reversals(
    close: FloatArray, ranges: FloatArray, places: IntArray, multiples: FloatArray, out: FloatArray
) -> None:
    lanes, bars = out.shape
    distances = np.empty((TILE, lanes))
    stops = np.empty((TILE, lanes))
    side = np.ones(lanes)
    best = np.full(lanes, np.nan)
    for start in range(0, bars, TILE):
        size = min(TILE, bars - start)
        _scale(ranges, places, multiples, start, size, distances)
        for i in range(size):
            price = close[start + i]
            for lane in range(lanes):
                distance = distances[i, lane]
                # A short position is a long one on the chart turned over. After a gap it begins long.
                way = side[lane] if distance == distance else 1.0
                place = way * price
                top = best[lane]
                # Not a maximum: without a best close yet, this one is.
                if not top >= place:
                    top = place
                turned = place < top - distance
                side[lane] = -way if turned else way
                best[lane] = (-place if turned else top) + 0.0 * distance
                stops[i, lane] = side[lane] * (best[lane] - distance)
        _store(stops, start, size, out)


@kernel
def _scale(
    ranges: FloatArray, places: IntArray, multiples: FloatArray, start: int, size: int, distances: FloatArray
) -> None:
    for lane in range(places.shape[0]):
        for i in range(size):
            distances[i, lane] = multiples[lane] * ranges[places[lane], start + i]


@kernel
def _store(stops: FloatArray, start: int, size: int, out: FloatArray) -> None:
    for lane in range(stops.shape[1]):
        for i in range(size):
            out[lane, start + i] = stops[i, lane]
