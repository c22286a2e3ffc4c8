"""Sign-flipped candles: what stays, what goes, and that nothing drifts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alpharay.market.candles import Candles
from alpharay.market.synthetic import GarchMarket, garch_candles
from alpharay.validation.sign_flip import mirrored, sign_flipped, without_bad_ticks

PRICES = ("open", "high", "low", "close")


@st.composite
def candle_series(draw):
    """Candles with gaps in price and time, and moves below what is taken for a bad tick."""
    bars = draw(st.integers(1, 40))
    moves = draw(arrays(np.float64, (bars, 2), elements=st.floats(-0.15, 0.15)))
    wicks = draw(arrays(np.float64, (bars, 2), elements=st.floats(0.0, 0.1)))
    volume = draw(arrays(np.float64, bars, elements=st.floats(0.0, 1e6)))
    steps = draw(arrays(np.int64, bars, elements=st.integers(1, 90)))
    close = 50.0 * np.cumprod((1.0 + moves[:, 0]) * (1.0 + moves[:, 1]))
    opened = np.concatenate([[50.0], close[:-1]]) * (1.0 + moves[:, 0])
    high = np.maximum(opened, close) * (1.0 + wicks[:, 0])
    low = np.minimum(opened, close) * (1.0 - wicks[:, 1])
    return Candles("test", "A/USD", "1m", np.cumsum(steps) * 60_000, opened, high, low, close, volume)


def moves(candles):
    before = np.concatenate([candles.open[:1], candles.close[:-1]])
    return {name: getattr(candles, name) / before - 1.0 for name in PRICES}


def signs(bars, seed=0):
    return np.random.default_rng(seed).choice(np.array([-1, 1], dtype=np.int8), bars)


@given(candle_series(), st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_flipped_candles_keep_time_volume_and_sizes_and_are_candles(candles, seed):
    flipped = sign_flipped(candles, np.random.default_rng(seed))
    np.testing.assert_array_equal(flipped.open_time, candles.open_time)
    np.testing.assert_array_equal(flipped.volume, candles.volume)
    assert all((getattr(flipped, name) > 0.0).all() for name in PRICES)
    assert (flipped.high >= np.maximum(flipped.open, flipped.close)).all()
    assert (flipped.low <= np.minimum(flipped.open, flipped.close)).all()
    before, after = moves(candles), moves(flipped)
    np.testing.assert_allclose(np.abs(after["close"]), np.abs(before["close"]), atol=1e-12)
    np.testing.assert_allclose(after["high"] - after["low"], before["high"] - before["low"], atol=1e-12)


@given(candle_series(), st.integers(0, 2**32), st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_mirroring_twice_is_mirroring_with_the_product_of_the_signs(candles, first, second):
    a, b = signs(len(candles), first), signs(len(candles), second)
    twice, once = mirrored(mirrored(candles, a), b), mirrored(candles, a * b)
    back = mirrored(mirrored(candles, a), a)
    for name in PRICES:
        np.testing.assert_allclose(getattr(twice, name), getattr(once, name), rtol=1e-9)
        np.testing.assert_allclose(getattr(back, name), getattr(candles, name), rtol=1e-9)


def test_a_mirrored_candle_swaps_gap_body_and_excursions():
    candles = Candles(
        "test", "A/USD", "1m", np.array([0, 60_000]),
        np.array([100.0, 102.0]), np.array([100.0, 106.0]), np.array([100.0, 99.0]), np.array([100.0, 105.0]),
        np.array([1.0, 2.0]),
    )  # fmt: skip
    flipped = mirrored(candles, np.array([1, -1], dtype=np.int8))
    values = [float(getattr(flipped, name)[1]) for name in PRICES]
    assert values == pytest.approx([98.0, 101.0, 94.0, 95.0])


def test_flips_of_a_bull_market_have_no_drift_on_average():
    rising = garch_candles(2_000, 1)
    rising = replace(rising, **{name: getattr(rising, name) * np.exp(np.arange(2_000) * 1e-3) for name in PRICES})
    final, means = [], []
    for seed in range(300):
        flipped = sign_flipped(rising, np.random.default_rng(seed))
        change = moves(flipped)["close"]
        means.append(change.mean())
        final.append(flipped.close[-1] / flipped.open[0])
    error = np.std(means, ddof=1) / np.sqrt(300)
    assert abs(np.mean(means)) < 4.0 * error
    # A price without a drift ends where it began on average, though it mostly ends below: logarithms would not.
    assert abs(np.mean(final) - 1.0) < 4.0 * np.std(final, ddof=1) / np.sqrt(300)
    assert moves(rising)["close"].mean() > 20.0 * error


def test_whoever_decides_on_a_close_earns_nothing_on_flips_at_the_next_open():
    candles = garch_candles(500, 3)
    gaps = np.random.default_rng(0).normal(0.0, 0.002, 500)
    opened = np.concatenate([candles.open[:1], candles.close[:-1]]) * (1.0 + gaps)
    candles = replace(candles, open=opened, high=np.maximum(candles.high, opened), low=np.minimum(candles.low, opened))
    earned = []
    for seed in range(400):
        flipped = sign_flipped(candles, np.random.default_rng(seed))
        rises = flipped.close[1:-2] > flipped.close[:-3]  # momentum, decided on bars 1 to n - 3
        earned.append((flipped.open[3:] / flipped.open[2:-1] - 1.0)[rises].mean())
    assert abs(np.mean(earned)) < 4.0 * np.std(earned, ddof=1) / 20.0


def test_volatility_clusters_after_flipping_as_before():
    candles = garch_candles(5_000, 2, market=GarchMarket(alpha=0.15, beta=0.83))
    flipped = sign_flipped(candles, np.random.default_rng(9))

    def clustering(series):
        sizes = np.abs(moves(series)["close"])
        return np.corrcoef(sizes[1:], sizes[:-1])[0, 1]

    assert clustering(candles) > 0.1
    assert clustering(flipped) == pytest.approx(clustering(candles), abs=1e-6)


def test_the_same_seed_flips_the_same_candles_and_another_seed_others():
    candles = garch_candles(200, 1)
    one, same, other = (sign_flipped(candles, np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.close, same.close)
    assert not np.array_equal(one.close, other.close)


def test_candles_before_the_start_stay_as_they_were():
    candles = garch_candles(300, 4)
    flipped = sign_flipped(candles, np.random.default_rng(1), start=200)
    for name in PRICES:
        np.testing.assert_array_equal(getattr(flipped, name)[:200], getattr(candles, name)[:200])
    assert not np.allclose(flipped.close[200:], candles.close[200:])


@given(candle_series(), st.integers(0, 39), st.sampled_from([0.01, 3.0]), st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_no_candle_depends_on_a_later_one_not_even_by_a_bit(candles, row, factor, seed):
    """A crash, or a bad tick, in the last candles leaves every candle before it as it would have been."""
    row = min(row, len(candles) - 1)
    changed = with_close(candles, row, factor)
    drawn = signs(len(candles), seed)
    for make in (without_bad_ticks, lambda series: mirrored(series, drawn)):
        before, after = make(candles), make(changed)
        for name in PRICES:
            np.testing.assert_array_equal(getattr(after, name)[:row], getattr(before, name)[:row])


def test_a_flat_market_without_volume_stays_flat():
    flat = np.full(20, 7.0)
    candles = Candles("test", "A/USD", "1m", np.arange(20) * 60_000, flat, flat, flat, flat, np.zeros(20))
    flipped = sign_flipped(candles, np.random.default_rng(0))
    for name in PRICES:
        np.testing.assert_array_equal(getattr(flipped, name), flat)


def test_no_candles_and_one_candle_can_be_flipped():
    candles = garch_candles(1, 0)
    assert len(sign_flipped(candles.slice(0, 0), np.random.default_rng(0))) == 0
    assert sign_flipped(candles, np.random.default_rng(0)).open[0] == candles.open[0]


def with_close(candles, row, factor):
    close = candles.close.copy()
    close[row] *= factor
    return replace(candles, close=close, high=np.maximum(candles.high, close), low=np.minimum(candles.low, close))


@pytest.mark.parametrize("factor", [10.0, 0.05])
def test_a_bad_tick_of_900_percent_moves_nothing_in_any_flip(factor):
    clean = garch_candles(100, 5)
    bad = with_close(clean, 50, factor)
    tamed = without_bad_ticks(bad)
    assert tamed.close[50] == pytest.approx(tamed.close[49])
    # The way back from a doubling or more is dropped with it; from a crash it is, too: both are half or more.
    assert tamed.close[51] == pytest.approx(tamed.close[49])
    np.testing.assert_allclose(tamed.close[99] / tamed.close[51], clean.close[99] / clean.close[51], rtol=1e-9)
    for seed in range(20):
        flipped = sign_flipped(bad, np.random.default_rng(seed))
        assert np.abs(moves(flipped)["close"]).max() < 0.5
        assert (flipped.low > 0.0).all()


def test_a_wick_that_is_a_bad_tick_is_cut_to_the_body():
    candles = garch_candles(100, 5)
    high = candles.high.copy()
    high[30] *= 10.0
    tamed = without_bad_ticks(replace(candles, high=high))
    assert tamed.high[30] == pytest.approx(max(candles.open[30], candles.close[30]))
    np.testing.assert_allclose(tamed.close, candles.close, rtol=1e-9)


def test_an_open_that_is_a_bad_tick_is_cut_to_the_close_before():
    candles = garch_candles(100, 5)
    opened = candles.open.copy()
    opened[30] *= 3.0
    tamed = without_bad_ticks(replace(candles, open=opened, high=np.maximum(candles.high, opened)))
    assert tamed.open[30] == pytest.approx(candles.close[29])
    np.testing.assert_allclose(tamed.close, candles.close, rtol=1e-9)


def test_a_move_of_just_half_is_a_bad_tick_and_a_hair_less_is_none():
    for price, kept in ((150.0, 100.0), (149.9, 149.9), (50.0, 100.0), (50.1, 50.1)):
        flat = np.where(np.arange(10) < 5, 100.0, price)
        candles = Candles("test", "A/USD", "1m", np.arange(10) * 60_000, flat, flat, flat, flat, np.ones(10))
        assert without_bad_ticks(candles).close[9] == kept


def test_the_first_candle_is_mirrored_about_its_own_open():
    one = Candles(
        "test", "A/USD", "1m", np.array([0]),
        np.array([100.0]), np.array([106.0]), np.array([99.0]), np.array([105.0]), np.array([1.0]),
    )  # fmt: skip
    flipped = mirrored(one, np.array([-1], dtype=np.int8))
    assert [float(getattr(flipped, name)[0]) for name in PRICES] == pytest.approx([100.0, 101.0, 94.0, 95.0])
    closes = {round(float(sign_flipped(one, np.random.default_rng(seed)).close[0]), 9) for seed in range(20)}
    assert closes == {95.0, 105.0}


def test_candles_without_a_bad_tick_are_returned_as_they_are():
    candles = garch_candles(100, 5)
    assert without_bad_ticks(candles) is candles


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -1.0])
def test_a_price_that_is_none_is_named(value):
    candles = garch_candles(10, 0)
    close = candles.close.copy()
    close[4] = value
    with pytest.raises(ValueError, match="close of candle 4"):
        sign_flipped(replace(candles, close=close), np.random.default_rng(0))


def test_a_high_below_the_close_is_named():
    candles = garch_candles(10, 0)
    high = candles.high.copy()
    high[3] = candles.low[3] / 2.0
    with pytest.raises(ValueError, match="high of candle 3"):
        sign_flipped(replace(candles, high=high), np.random.default_rng(0))


def test_signs_must_be_one_a_candle():
    candles = garch_candles(10, 0)
    with pytest.raises(ValueError, match="one sign for each of the 10 candles, was 9"):
        mirrored(candles, np.ones(9, dtype=np.int8))
    with pytest.raises(ValueError, match="was 0"):
        mirrored(candles, np.zeros(10, dtype=np.int8))
