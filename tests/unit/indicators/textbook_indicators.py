"""Indicators as plain loops written from their definitions: slow, and sharing no code with the kernels."""

from __future__ import annotations

import math

import numpy as np
from indicator_cases import Columns

from alpharay.market.candles import FloatArray

NAN = float("nan")


def by_window(length: int, bars: int, value: object) -> FloatArray:
    """Return `value(slice of the last `length` bars)` at each bar with a full window."""
    assert callable(value)
    return np.array([NAN if t < length - 1 else value(slice(t - length + 1, t + 1)) for t in range(bars)])


def ema(values: FloatArray, length: int) -> FloatArray:
    first = int(np.argmin(np.isnan(values)))
    out = np.full(len(values), NAN)
    out[first + length - 1] = np.sum(values[first : first + length]) / length
    for t in range(first + length, len(values)):
        out[t] = out[t - 1] + (values[t] - out[t - 1]) * 2.0 / (length + 1)
    return out


def roc(values: FloatArray, length: int) -> FloatArray:
    return np.array([NAN if t < length else 100.0 * (values[t] / values[t - length] - 1.0) for t in range(len(values))])


def sma(values: FloatArray, length: int) -> FloatArray:
    return by_window(length, len(values), lambda window: np.sum(values[window]) / length)


def clv_volume(x: Columns) -> FloatArray:
    reach = x["high"] - x["low"]
    place = ((x["close"] - x["low"]) - (x["high"] - x["close"])) / np.where(reach == 0.0, 1.0, reach)
    return np.where(reach == 0.0, 0.0, place) * x["volume"]


def vwma(x: Columns, length: int) -> FloatArray:
    return by_window(length, len(x["close"]), lambda w: np.sum(x["close"][w] * x["volume"][w]) / np.sum(x["volume"][w]))


def vwap(x: Columns, length: int) -> FloatArray:
    typical = (x["high"] + x["low"] + x["close"]) / 3.0
    return by_window(length, len(typical), lambda w: np.sum(typical[w] * x["volume"][w]) / np.sum(x["volume"][w]))


def wilder(x: Columns, length: int) -> FloatArray:
    out = np.full(len(x["close"]), NAN)
    out[length - 1] = np.mean(x["close"][:length])
    for t in range(length, len(out)):
        out[t] = (out[t - 1] * (length - 1) + x["close"][t]) / length
    return out


def cmo(x: Columns, length: int) -> FloatArray:
    moves = np.diff(x["close"], prepend=NAN)

    def value(window: slice) -> float:
        gains = float(np.sum(moves[window][moves[window] > 0.0]))
        losses = -float(np.sum(moves[window][moves[window] < 0.0]))
        return 100.0 * (gains - losses) / (gains + losses) if gains + losses else 0.0

    out = by_window(length, len(moves), value)
    out[length - 1] = NAN
    return out


def cmf(x: Columns, length: int) -> FloatArray:
    flow = clv_volume(x)
    return by_window(length, len(flow), lambda w: np.sum(flow[w]) / np.sum(x["volume"][w]))


def vpt(x: Columns) -> FloatArray:
    out = [0.0]
    for t in range(1, len(x["close"])):
        out.append(out[-1] + x["volume"][t] * (x["close"][t] - x["close"][t - 1]) / x["close"][t - 1])
    return np.array(out)


def force_index(x: Columns, length: int) -> FloatArray:
    return ema(np.diff(x["close"], prepend=NAN) * x["volume"], length)


def mass_index(x: Columns, smoothing: int, length: int) -> FloatArray:
    once = ema(x["high"] - x["low"], smoothing)
    return length * sma(once / ema(once, smoothing), length)


def volume_force(x: Columns) -> FloatArray:
    force = [NAN]
    trend, accumulated = 0, 0.0
    # Whole units of the fifth decimal make the sums exact: a tie is a tie.
    prices = np.round((x["high"] + x["low"] + x["close"]) * 1e5).astype(np.int64)
    reach = x["high"] - x["low"]
    for t in range(1, len(prices)):
        sign = int(np.sign(prices[t] - prices[t - 1]))
        if sign not in (0, trend):
            trend, accumulated = sign, reach[t - 1]
        accumulated += reach[t]
        share = abs(2.0 * reach[t] / accumulated - 1.0) if accumulated else 0.0
        force.append(100.0 * x["volume"][t] * share * trend)
    return np.array(force)


def klinger(x: Columns, fast: int, slow: int) -> FloatArray:
    return ema(volume_force(x), fast) - ema(volume_force(x), slow)


def awesome(x: Columns, fast: int, slow: int) -> FloatArray:
    median = (x["high"] + x["low"]) / 2.0
    return sma(median, fast) - sma(median, slow)


def dpo(x: Columns, length: int) -> FloatArray:
    average = sma(x["close"], length)
    ago = length // 2 + 1
    return np.array([NAN if t < ago else x["close"][t - ago] - average[t] for t in range(len(average))])


def kst(x: Columns, *values: int) -> FloatArray:
    terms = zip(values[:4], values[4:], strict=True)
    total = np.zeros(len(x["close"]))
    for weight, (ago, length) in enumerate(terms, start=1):
        total += weight * sma(roc(x["close"], ago), length)
    return total


def swma(values: FloatArray) -> FloatArray:
    return by_window(4, len(values), lambda w: float(np.dot(values[w], (1.0, 2.0, 2.0, 1.0))) / 6.0)


def rvi(x: Columns, length: int) -> FloatArray:
    body, reach = swma(x["close"] - x["open"]), swma(x["high"] - x["low"])
    return sma(body, length) / sma(reach, length)


def residual(x: Columns, length: int) -> FloatArray:
    def value(window: slice) -> float:
        bars = np.arange(length, dtype=np.float64)
        fit = np.polynomial.Polynomial.fit(bars, x["close"][window], 1) if length > 1 else lambda _: x["close"][window]
        return math.sqrt(float(np.mean((x["close"][window] - fit(bars)) ** 2)))

    return by_window(length, len(x["close"]), value)


def middle(x: Columns, length: int) -> FloatArray:
    return by_window(length, len(x["close"]), lambda w: (np.max(x["high"][w]) + np.min(x["low"][w])) / 2.0)


def later(values: FloatArray, bars: int) -> FloatArray:
    return np.concatenate((np.full(bars, NAN), values[:-bars]))


def pivot(x: Columns, length: int) -> FloatArray:
    def value(window: slice) -> float:
        return (np.max(x["high"][window]) + np.min(x["low"][window]) + x["close"][window][-1]) / 3.0

    return later(by_window(length, len(x["close"]), value), 1)


def heikin_ashi_open(x: Columns) -> FloatArray:
    close = (x["open"] + x["high"] + x["low"] + x["close"]) / 4.0
    out = [(x["open"][0] + x["close"][0]) / 2.0]
    for t in range(1, len(close)):
        out.append((out[-1] + close[t - 1]) / 2.0)
    return np.array(out)


def true_range(x: Columns) -> FloatArray:
    before = np.concatenate(([NAN], x["close"][:-1]))
    return np.maximum.reduce((x["high"] - x["low"], np.abs(x["high"] - before), np.abs(x["low"] - before)))


def atr(x: Columns, length: int) -> FloatArray:
    ranges = true_range(x)
    out = np.full(len(ranges), NAN)
    out[length] = np.mean(ranges[1 : length + 1])
    for t in range(length + 1, len(out)):
        out[t] = (out[t - 1] * (length - 1) + ranges[t]) / length
    return out


def atr_trailing_stop(x: Columns, length: int, multiple: float) -> FloatArray:
    close, loss = x["close"], multiple * atr(x, length)
    out = [NAN] * length + [close[length] - loss[length]]
    for t in range(length + 1, len(close)):
        if close[t] > out[-1] and close[t - 1] > out[-1]:
            out.append(max(out[-1], close[t] - loss[t]))
        elif close[t] < out[-1] and close[t - 1] < out[-1]:
            out.append(min(out[-1], close[t] + loss[t]))
        elif close[t] > out[-1]:
            out.append(close[t] - loss[t])
        else:
            out.append(close[t] + loss[t])
    return np.array(out)


def volatility_stop(x: Columns, length: int, multiple: float) -> FloatArray:
    close, distance = x["close"], multiple * atr(x, length)
    out = [NAN] * length
    began, long = length, True
    for t in range(length, len(close)):
        since = close[began : t + 1]
        stop = max(since) - distance[t] if long else min(since) + distance[t]
        if (close[t] < stop) if long else (close[t] > stop):
            began, long = t, not long
            stop = close[t] - distance[t] if long else close[t] + distance[t]
        out.append(stop)
    return np.array(out)


def vidya(x: Columns, length: int, momentum: int) -> FloatArray:
    close, strength = x["close"], np.abs(cmo(x, momentum)) / 100.0
    out = [NAN] * momentum
    average = close[momentum - 1]
    for t in range(momentum, len(close)):
        factor = strength[t] * 2.0 / (length + 1)
        average = factor * close[t] + (1.0 - factor) * average
        out.append(average)
    return np.array(out)


def frama(x: Columns, half: int) -> FloatArray:
    price = (x["high"] + x["low"]) / 2.0
    out = [NAN] * (2 * half - 1)
    dimension, average = 1.0, price[2 * half - 1]
    for t in range(2 * half - 1, len(price)):
        spans = (slice(t - half + 1, t + 1), slice(t - 2 * half + 1, t - half + 1), slice(t - 2 * half + 1, t + 1))
        newer, older, both = ((np.max(x["high"][w]) - np.min(x["low"][w])) / (w.stop - w.start) for w in spans)
        if newer > 0.0 and older > 0.0:
            dimension = math.log2((newer + older) / both)
        factor = min(max(math.exp(-4.6 * (dimension - 1.0)), 0.01), 1.0)
        average = factor * price[t] + (1.0 - factor) * average
        out.append(average)
    return np.array(out)


def renko_run(x: Columns, size: float) -> FloatArray:
    out: list[float] = []
    end, bricks = x["close"][0], [0]
    for price in x["close"]:
        brick = end * size / 100.0
        rises = math.floor((price - end) / brick) - (bricks[-1] < 0)
        falls = math.floor((end - price) / brick) - (bricks[-1] > 0)
        if rises > 0:
            end += (rises + (bricks[-1] < 0)) * brick
        elif falls > 0:
            end -= (falls + (bricks[-1] > 0)) * brick
        bricks += [1] * rises + [-1] * falls
        run = 0
        while run < len(bricks) and bricks[-1 - run] == bricks[-1]:
            run += 1
        out.append(run * bricks[-1])
    return np.array(out, dtype=np.float64)


def range_bar_run(x: Columns, size: float) -> FloatArray:
    out: list[float] = []
    opening = top = bottom = x["close"][0]
    run = 0
    for price in x["close"]:
        reach = opening * size / 100.0
        rising, extreme = price > top, price > top or price < bottom
        top, bottom = max(top, price), min(bottom, price)
        while extreme and top - bottom >= reach:
            run = max(run, 0) + 1 if rising else min(run, 0) - 1
            opening = bottom + reach if rising else top - reach
            top, bottom = (max(price, opening), opening) if rising else (opening, min(price, opening))
        out.append(run)
    return np.array(out, dtype=np.float64)


def gann_trend(x: Columns, bars: int) -> FloatArray:
    out: list[float] = []
    counted: list[int] = []
    turns: list[tuple[str, float]] = []
    up_in_a_row = down_in_a_row = trend = 0
    since = 0
    for t, (high, low) in enumerate(zip(x["high"], x["low"], strict=True)):
        if not counted:
            counted.append(t)
        elif high > x["high"][counted[-1]] or low < x["low"][counted[-1]]:
            up_in_a_row = up_in_a_row + 1 if high > x["high"][counted[-1]] else 0
            down_in_a_row = down_in_a_row + 1 if low < x["low"][counted[-1]] else 0
            counted.append(t)
            last = turns[-1][0] if turns else ""
            if last != "lower" and up_in_a_row >= bars:
                turns.append(("lower", float(np.min(x["low"][since : t + 1]))))
                since = t
            elif last != "upper" and down_in_a_row >= bars:
                turns.append(("upper", float(np.max(x["high"][since : t + 1]))))
                since = t
            upper = [price for side, price in turns if side == "upper"][-1:]
            lower = [price for side, price in turns if side == "lower"][-1:]
            passed_up, passed_down = bool(upper) and high > upper[0], bool(lower) and low < lower[0]
            if passed_up != passed_down:
                trend = 1 if passed_up else -1
        out.append(trend if t >= bars else NAN)
    return np.array(out, dtype=np.float64)


def double_bottom(x: Columns, wing: int) -> FloatArray:
    high, low, close = x["high"], x["low"], x["close"]
    out = np.full(len(close), NAN)
    bottoms: list[int] = []
    done = True
    for t in range(2 * wing, len(close)):
        k = t - wing
        if low[k] < np.min(low[k - wing : k]) and low[k] <= np.min(low[k + 1 : t + 1]):
            bottoms.append(k)
            done = len(bottoms) < 2
        out[t] = 0.0
        if done:
            continue
        first, second = bottoms[-2:]
        top, lower = np.max(high[first : second + 1]), min(low[first], low[second])
        if close[t] < lower:
            done = True
        elif close[t] > top:
            out[t], done = 1.0 - abs(low[first] - low[second]) / (top - lower), True
    return out


def double_top(x: Columns, wing: int) -> FloatArray:
    turned = {"high": -x["low"], "low": -x["high"], "close": -x["close"]}
    return double_bottom(turned, wing)


def largest_residual(x: Columns, length: int) -> FloatArray:
    def value(window: slice) -> float:
        bars = np.arange(length, dtype=np.float64)
        fit = np.polynomial.Polynomial.fit(bars, x["close"][window], 1)
        return float(np.max(np.abs(x["close"][window] - fit(bars))))

    return by_window(length, len(x["close"]), value)


def volume_weighted_ema(x: Columns, length: int) -> FloatArray:
    return ema(x["close"] * x["volume"], length) / ema(x["volume"], length)


def rainbow(x: Columns, length: int) -> FloatArray:
    levels = [x["close"]]
    for _ in range(10):
        late = levels[-1]
        levels.append(by_window(length, len(late), lambda w, late=late: float(np.mean(late[w]))))
    return np.mean(levels[1:], axis=0)


def rows_by_price(x: Columns, window: slice) -> tuple[float, dict[int, float], FloatArray]:
    price = ((x["high"] + x["low"] + x["close"]) / 3.0)[window]
    size = 2.0 ** math.floor(math.log2((np.max(price) - np.min(price)) / 8.0))
    rows = dict.fromkeys(range(math.floor(np.min(price) / size), math.floor(np.max(price) / size) + 1), 0.0)
    for value, volume in zip(price[::-1], x["volume"][window][::-1], strict=True):
        rows[math.floor(value / size)] += volume
    return size, rows, price


def point_of_control(x: Columns, length: int) -> FloatArray:
    def value(window: slice) -> float:
        size, rows, price = rows_by_price(x, window)
        middle = (max(rows, key=lambda row: (rows[row], -row)) + 0.5) * size
        return float(np.clip(middle, np.min(price), np.max(price)))

    return by_window(length, len(x["close"]), value)


def value_area_high(x: Columns, length: int) -> FloatArray:
    def value(window: slice) -> float:
        size, rows, price = rows_by_price(x, window)
        area = [max(rows, key=lambda row: (rows[row], -row))]
        while sum(rows[row] for row in area) < 0.7 * sum(rows.values()):
            edges = [row for row in (min(area) - 1, max(area) + 1) if row in rows]
            area.append(max(edges, key=lambda row: (rows[row], row)))
        return min((max(area) + 1) * size, float(np.max(price)))

    return by_window(length, len(x["close"]), value)


def profile_deviation(x: Columns, length: int) -> FloatArray:
    price = (x["high"] + x["low"] + x["close"]) / 3.0

    def value(window: slice) -> float:
        mean = np.average(price[window], weights=x["volume"][window])
        return math.sqrt(np.average((price[window] - mean) ** 2, weights=x["volume"][window]))

    return by_window(length, len(price), value)
