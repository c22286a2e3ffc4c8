from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpharay.market.quality import CheckedCandles, check_candles

MINUTE = 60_000
GOOD = (10 * MINUTE, 10.0, 12.0, 9.0, 11.0, 5.0)


def check(*rows: object, now_ms: int | None = None) -> CheckedCandles:
    return check_candles(rows, exchange="test", symbol="BTC/USD", timeframe="1m", now_ms=now_ms)  # type: ignore[arg-type]


def good_at(minute: int, price: float = 10.0) -> tuple[float, ...]:
    return (minute * MINUTE, price, price + 2, price - 1, price + 1, 5.0)


@pytest.mark.parametrize(
    ("row", "rule", "reason"),
    [
        ((10 * MINUTE, 10.0, 8.0, 9.0, 8.5, 5.0), "high_below_low", "high 8.0 is below low 9.0"),
        (
            (10 * MINUTE, 13.0, 12.0, 9.0, 11.0, 5.0),
            "open_outside_range",
            "open 13.0 is outside low 9.0 to high 12.0",
        ),
        (
            (10 * MINUTE, 10.0, 12.0, 9.0, 8.0, 5.0),
            "close_outside_range",
            "close 8.0 is outside low 9.0 to high 12.0",
        ),
        ((10 * MINUTE, 10.0, 12.0, 0.0, 11.0, 5.0), "price_not_positive", "low must be above 0, was 0.0"),
        ((10 * MINUTE, -1.0, 12.0, 9.0, 11.0, 5.0), "price_not_positive", "open must be above 0, was -1.0"),
        (
            (10 * MINUTE, 10.0, 12.0, 9.0, float("nan"), 5.0),
            "not_a_number",
            "close must be a finite number, was nan",
        ),
        (
            (10 * MINUTE, 10.0, float("inf"), 9.0, 11.0, 5.0),
            "not_a_number",
            "high must be a finite number, was inf",
        ),
        (
            (10 * MINUTE, 10.0, 12.0, 9.0, 11.0, None),
            "not_a_number",
            "volume must be a finite number, was None",
        ),
        (
            (10 * MINUTE, "ten", 12.0, 9.0, 11.0, 5.0),
            "not_a_number",
            "open must be a finite number, was 'ten'",
        ),
        ((None, 10.0, 12.0, 9.0, 11.0, 5.0), "not_a_number", "open_time must be a finite number, was None"),
        ((10 * MINUTE, 10.0, 12.0, 9.0, 11.0), "not_a_number", "row must have 6 values"),
        ((), "not_a_number", "had 0"),
        ((10 * MINUTE, 10.0, 12.0, 9.0, 11.0, -0.5), "negative_volume", "volume must be 0 or more, was -0.5"),
        (
            (10 * MINUTE + 1, 10.0, 12.0, 9.0, 11.0, 5.0),
            "not_aligned",
            "open_time 600001 is not a multiple of 60000",
        ),
    ],
)
def test_row_that_breaks_a_rule_is_refused_and_its_neighbours_are_kept(row, rule, reason):
    result = check(good_at(9), row, good_at(11))

    assert (result.candles.open_time // MINUTE).tolist() == [9, 11]
    assert [refused.rule for refused in result.refused] == [rule]
    assert reason in result.refused[0].reason
    assert repr(result.refused[0].row) == repr(row)


def test_candle_that_ends_exactly_now_is_closed_and_one_that_ends_later_is_not():
    result = check(good_at(9), good_at(10), now_ms=10 * MINUTE + 59_999)
    assert (result.candles.open_time // MINUTE).tolist() == [9]
    assert result.refused[0].rule == "not_closed"
    assert len(check(good_at(10), now_ms=11 * MINUTE).refused) == 0


def test_duplicate_is_refused_whether_or_not_its_values_agree():
    result = check(good_at(1), good_at(1), good_at(1, price=20.0), good_at(2))
    assert (result.candles.open_time // MINUTE).tolist() == [1, 2]
    assert result.candles.open.tolist() == [10.0, 10.0]
    assert [refused.rule for refused in result.refused] == ["duplicate", "duplicate"]
    assert "with the same values" in result.refused[0].reason
    assert "with other values" in result.refused[1].reason


def test_row_older_than_an_accepted_one_is_out_of_order():
    result = check(good_at(1), good_at(5), good_at(3), good_at(4), good_at(5), good_at(6))
    assert (result.candles.open_time // MINUTE).tolist() == [1, 5, 6]
    assert [refused.rule for refused in result.refused] == ["out_of_order", "out_of_order", "duplicate"]


def test_refused_row_does_not_push_later_good_rows_out_of_order():
    bad_and_far_ahead = (900 * MINUTE, 10.0, 8.0, 9.0, 8.5, 5.0)
    result = check(good_at(1), bad_and_far_ahead, good_at(2))
    assert (result.candles.open_time // MINUTE).tolist() == [1, 2]


def test_zero_volume_and_a_flat_candle_are_allowed():
    assert check((MINUTE, 10.0, 10.0, 10.0, 10.0, 0.0)).refused == ()


def test_no_rows_is_no_candles():
    result = check()
    assert len(result.candles) == 0
    assert result.refused == ()


def test_text_numbers_are_numbers():
    result = check((MINUTE, "10.0", "12", "9", "11", "5"))
    assert result.candles.high.tolist() == [12.0]


def test_matrix_is_taken_as_rows():
    matrix = np.array([good_at(1), good_at(2)])
    result = check_candles(matrix, exchange="test", symbol="BTC/USD", timeframe="1m")
    assert (result.candles.open_time // MINUTE).tolist() == [1, 2]


VALUE = st.one_of(st.none(), st.sampled_from([0.0, -1.0, 9.0, 10.0, 11.0, float("nan"), float("inf"), "x", "10"]))
ANY_ROW = st.one_of(
    st.integers(0, 6).map(good_at),
    st.tuples(st.one_of(st.none(), st.integers(0, 5 * MINUTE)), VALUE, VALUE, VALUE, VALUE, VALUE),
    st.lists(VALUE, max_size=7),
)


@settings(max_examples=300, deadline=None)
@given(rows=st.lists(ANY_ROW, max_size=25), now_ms=st.one_of(st.none(), st.integers(0, 7 * MINUTE)))
def test_every_row_ends_in_exactly_one_place_and_accepted_rows_keep_every_rule(rows, now_ms):
    result = check(*rows, now_ms=now_ms)
    candles = result.candles

    assert len(candles) + len(result.refused) == len(rows)
    assert bool(np.all(np.diff(candles.open_time) > 0))
    assert bool(np.all(candles.open_time % MINUTE == 0))
    assert bool(np.all(candles.low > 0))
    assert bool(np.all((candles.low <= candles.open) & (candles.open <= candles.high)))
    assert bool(np.all((candles.low <= candles.close) & (candles.close <= candles.high)))
    assert bool(np.all(candles.volume >= 0))
    assert bool(np.all(np.isfinite(candles.high)))
    if now_ms is not None:
        assert bool(np.all(candles.open_time + MINUTE <= now_ms))
    # An accepted candle passes again: the rules do not depend on the company it came in.
    again = check(*[(t, *values) for t, *values in candles.to_frame().iter_rows()], now_ms=now_ms)
    assert again.refused == ()
