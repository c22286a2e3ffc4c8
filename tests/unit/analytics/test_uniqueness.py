"""Overlapping windows count for less: against a count unit by unit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpharay.analytics.uniqueness import average_uniqueness


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_windows_apart_count_in_full_also_where_they_touch() -> None:
    assert average_uniqueness(ints(0, 5, 20), ints(5, 9, 21)).tolist() == [1.0, 1.0, 1.0]


def test_the_same_window_three_times_counts_once() -> None:
    assert average_uniqueness(ints(3, 3, 3), ints(8, 8, 8)).sum() == pytest.approx(1.0)


def test_the_book_s_example() -> None:
    # López de Prado, chapter 4: one window alone half its time, shared by two the other half.
    assert average_uniqueness(ints(0, 2), ints(4, 6)).tolist() == pytest.approx([0.75, 0.75])


def test_other_markets_share_nothing() -> None:
    assert average_uniqueness(ints(0, 0, 0), ints(4, 4, 4), ints(7, 2, 7)).tolist() == [0.5, 1.0, 0.5]


def test_none_is_none_and_a_window_without_length_counts() -> None:
    assert average_uniqueness(ints(), ints()).tolist() == []
    assert average_uniqueness(ints(4), ints(4)).tolist() == [1.0]


windows = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10), st.integers(0, 2)), max_size=30)


@given(windows)
def test_it_equals_a_count_unit_by_unit(chosen: list[tuple[int, int, int]]) -> None:
    found = average_uniqueness(
        ints(*(start for start, _, _ in chosen)),
        ints(*(start + length for start, length, _ in chosen)),
        ints(*(group for _, _, group in chosen)),
    )
    for value, (start, length, group) in zip(found, chosen, strict=True):
        shares = [
            1.0 / sum(other == group and first <= unit < first + size for first, size, other in chosen)
            for unit in range(start, start + length)
        ]
        assert value == pytest.approx(sum(shares) / length)
