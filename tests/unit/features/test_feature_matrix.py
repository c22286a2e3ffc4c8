"""Features: free of look-ahead and of scale, the same bits in training and serving, defined on every odd market."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpharay.features.feature_matrix import Features, feature_matrix, latest_features
from alpharay.features.feature_set import FEATURE_NAMES, FEATURE_SET, FEATURES, FRAMES, HISTORY, VERSION
from alpharay.market.candles import PRICE_COLUMNS, Candles
from alpharay.market.resampling import resample
from alpharay.market.sample import sample_candles
from alpharay.market.synthetic import garch_candles
from alpharay.market.timeframe import timeframe_of

HOUR = 3_600_000


def flat(bars: int, volume: float = 1.0) -> Candles:
    prices = np.full(bars, 0.1)
    times = np.arange(bars, dtype=np.int64) * HOUR
    return Candles("x", "FLAT/USD", "1h", times, prices, prices, prices, prices, np.full(bars, volume))


def with_gaps(candles: Candles, seed: int) -> Candles:
    """Return the candles with single rows and one long stretch left out."""
    generator = np.random.default_rng(seed)
    kept = generator.random(len(candles)) > 0.2
    begin = int(generator.integers(0, len(candles)))
    kept[begin : begin + 100] = False
    return replace(
        candles,
        open_time=candles.open_time[kept],
        **{name: getattr(candles, name)[kept] for name in (*PRICE_COLUMNS, "volume")},
    )


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.array_equal(a, b, equal_nan=True)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), bars=st.integers(1, 1_500), gaps=st.booleans(), start=st.integers(0, 30))
def test_the_first_rows_do_not_depend_on_later_candles(seed: int, bars: int, gaps: bool, start: int) -> None:
    candles = garch_candles(1_500, seed, start_ms=start * HOUR)
    candles = with_gaps(candles, seed) if gaps else candles
    whole = feature_matrix(candles)
    part = feature_matrix(candles.slice(0, bars))
    assert same_bits(part.values, whole.values[: len(part)])


@pytest.mark.parametrize("gaps", [False, True])
def test_the_latest_row_has_the_bits_of_the_matrix_at_every_bar(gaps: bool) -> None:
    candles = garch_candles(HISTORY + 250, seed=3, start_ms=5 * HOUR)
    candles = with_gaps(candles, seed=4) if gaps else candles
    whole = feature_matrix(candles)
    for bars in [*range(1, 60), *range(60, len(candles) + 1, 3)]:
        latest = latest_features(candles.slice(0, bars))
        assert latest.open_time.tolist() == [int(candles.open_time[bars - 1])]
        assert same_bits(latest.values, whole.values[bars - 1 : bars]), bars


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), start=st.integers(0, 600), gaps=st.booleans())
def test_any_earlier_start_gives_the_same_bits_after_the_history(seed: int, start: int, gaps: bool) -> None:
    candles = garch_candles(1_500, seed)
    candles = with_gaps(candles, seed) if gaps else candles
    whole, later = feature_matrix(candles), feature_matrix(candles.slice(start, len(candles)))
    assert same_bits(later.values[HISTORY - 1 :], whole.values[start + HISTORY - 1 :])


def test_a_coarse_bar_counts_from_the_candle_at_whose_close_it_closed() -> None:
    candles = garch_candles(400, seed=1)
    column = FEATURE_NAMES.index("x4_body")
    values = feature_matrix(candles).values[:, column]
    coarse = resample(candles, "4h")
    body = (coarse.close - coarse.open) / (coarse.high - coarse.low)
    assert np.isnan(values[:3]).all()
    for bar in range(3, 400):
        assert values[bar] == body[(bar + 1) // 4 - 1]


def test_values_by_hand() -> None:
    close = np.array([100.0] * 20 + [110.0, 99.0])
    opened = np.concatenate([[100.0], close[:-1]])
    high, low = np.maximum(opened, close) + 1.0, np.minimum(opened, close) - 1.0
    volume = np.array([10.0] * 20 + [30.0, 0.0])
    times = np.arange(22, dtype=np.int64) * HOUR
    row = feature_matrix(Candles("x", "A/USD", "1h", times, opened, high, low, close, volume)).row(-1)
    usual = ((0.1**2 + 0.1**2) / 20) ** 0.5
    assert row["x1_return_1"] == pytest.approx(-0.1 / usual)
    assert row["x1_return_3"] == pytest.approx((99.0 / 100.0 - 1.0) / (usual * 3**0.5))
    assert row["x1_range_position"] == pytest.approx((99.0 - 98.0) / (111.0 - 98.0))
    assert row["x1_strength"] == pytest.approx((10.0 - 11.0) / 21.0)
    assert row["x1_body"] == pytest.approx(-11.0 / 13.0)
    assert row["x1_volume_share"] == 0.0
    assert row["x1_volatility_share"] == pytest.approx(2.0 / 3.0)
    assert row["x1_stretch"] == pytest.approx((99.0 - close[2:].mean()) / close[2:].std())
    assert row["volatility"] == pytest.approx(usual)
    assert row["day_part"] == pytest.approx(21.0 / 24.0)
    assert row["week_part"] == pytest.approx(21.0 / 168.0)
    assert row["missing_bars"] == 0.0


def test_a_gap_is_counted_in_bars() -> None:
    candles = garch_candles(10, seed=1)
    kept = np.array([0, 1, 2, 6, 7])
    values = {name: getattr(candles, name)[kept] for name in (*PRICE_COLUMNS, "volume")}
    found = feature_matrix(replace(candles, open_time=candles.open_time[kept], **values))
    column = FEATURE_NAMES.index("missing_bars")
    assert found.values[1:, column].tolist() == [0.0, 0.0, 3.0, 0.0]
    assert np.isnan(found.values[0, column])


def test_prices_and_volumes_of_another_scale_change_no_bit() -> None:
    candles = garch_candles(900, seed=2)
    scaled = replace(
        candles, volume=candles.volume * 2.0**-20, **{name: getattr(candles, name) * 2.0**12 for name in PRICE_COLUMNS}
    )
    assert same_bits(feature_matrix(scaled).values, feature_matrix(candles).values)


@pytest.mark.parametrize("volume", [1.0, 0.0])
def test_a_flat_market_has_neutral_features(volume: float) -> None:
    features = feature_matrix(flat(HISTORY, volume))
    row = features.row(-1)
    assert features.complete[-1]
    for frame in FRAMES:
        neutral = {"range_position": 0.5, "volume_share": 0.5, "volatility_share": 0.5}
        for feature in FEATURES:
            name = feature.name.removeprefix(f"x{frame}_")
            if feature.frame == frame and name != feature.name:
                assert row[feature.name] == neutral.get(name, 0.0), feature.name
    assert row["volatility"] == 0.0


def test_without_candles_there_are_no_rows() -> None:
    empty = garch_candles(0, seed=0)
    assert feature_matrix(empty).values.shape == (0, len(FEATURES))
    assert latest_features(empty).values.shape == (0, len(FEATURES))


def test_one_candle_knows_its_body_and_its_time_alone() -> None:
    row = latest_features(garch_candles(1, seed=0)).row(0)
    assert {name for name, value in row.items() if np.isfinite(value)} == {"x1_body", "day_part", "week_part"}


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_a_price_that_is_no_price_spoils_its_windows_and_nothing_else(bad: float) -> None:
    candles = garch_candles(2 * HISTORY, seed=5)
    close = candles.close.copy()
    close[600] = bad
    spoilt, whole = feature_matrix(replace(candles, close=close)), feature_matrix(candles)
    assert not spoilt.complete[600 + 1]
    assert not np.isinf(spoilt.values).any()
    assert same_bits(spoilt.values[:600], whole.values[:600])
    assert same_bits(spoilt.values[600 + HISTORY :], whole.values[600 + HISTORY :])


def test_history_is_enough_and_no_less_than_half_would_do() -> None:
    first = int(np.flatnonzero(feature_matrix(garch_candles(2 * HISTORY, seed=1)).complete)[0])
    assert HISTORY / 2 < first < HISTORY


def test_every_feature_is_told_and_named_once() -> None:
    assert len(set(FEATURE_NAMES)) == len(FEATURES) == 40
    assert all(feature.description for feature in FEATURES)


def test_values_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match=r"values must have the shape \(1, 40\), was \(1, 3\)"):
        Features(np.zeros(1, dtype=np.int64), np.zeros((1, 3)))


def test_formulas_are_those_of_the_version() -> None:
    # A changed formula needs a higher VERSION, or models trained before would be asked about something else.
    spx = sample_candles()[0]
    digest = hashlib.sha256(np.nan_to_num(feature_matrix(spx).values, nan=-9.0).tobytes()).hexdigest()
    assert (VERSION, FEATURE_SET[:12], digest[:12]) == (1, "4fd7ee0eeb47", "280b1ec92857")


@pytest.mark.parametrize(
    ("length_ms", "name"),
    [(60_000, "1m"), (90 * 60_000, "90m"), (24 * HOUR, "1d"), (48 * HOUR, "2d"), (4 * HOUR, "4h")],
)
def test_a_time_frame_is_named_by_its_largest_unit(length_ms: int, name: str) -> None:
    assert timeframe_of(length_ms) == name


@pytest.mark.parametrize("length_ms", [0, 1, 59_999, -60_000, 10_000 * 24 * HOUR])
def test_a_length_without_a_name_is_refused(length_ms: int) -> None:
    with pytest.raises(ValueError, match="whole minutes"):
        timeframe_of(length_ms)
