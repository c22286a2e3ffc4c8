"""Purging and embargo against the definition, sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpharay.models.label_uniqueness import average_uniqueness
from alpharay.models.purged_folds import purged_folds


def may_learn(start: int, end: int, tested: list[tuple[int, int]], embargo: int) -> bool:
    """Tell whether a sample's label overlaps no tested one and is not decided in the embargo after them."""
    for other_start, other_end in tested:
        if start <= other_end and other_start <= end:
            return False
    last = max(other_end for _, other_end in tested)
    first = min(other_start for other_start, _ in tested)
    return not (first <= start <= last + embargo)


@settings(max_examples=200, deadline=None)
@given(
    gaps=st.lists(st.integers(0, 4), min_size=6, max_size=60),
    length=st.integers(0, 9),
    folds=st.integers(2, 6),
    embargo=st.integers(0, 12),
)
def test_folds_equal_a_comparison_of_every_pair(gaps: list[int], length: int, folds: int, embargo: int) -> None:
    starts = np.cumsum(np.array(gaps, dtype=np.int64))
    ends = starts + length
    found = list(purged_folds(starts, ends, folds=folds, embargo=embargo))
    assert np.concatenate([fold.test for fold in found]).tolist() == list(range(len(starts)))
    for fold in found:
        tested = [(int(starts[i]), int(ends[i])) for i in fold.test]
        allowed = [
            i
            for i in range(len(starts))
            if i not in fold.test and may_learn(int(starts[i]), int(ends[i]), tested, embargo)
        ]
        assert fold.train.tolist() == allowed


def test_folds_by_hand() -> None:
    starts = np.arange(10)
    fold = list(purged_folds(starts, starts + 2, folds=5, embargo=1))[2]
    assert fold.test.tolist() == [4, 5]
    # 2 and 3 are known at 4 and 5, within the stretch; its last label is known at 7, and 8 is embargoed.
    assert fold.train.tolist() == [0, 1, 9]


@pytest.mark.parametrize(
    ("folds", "embargo", "message"),
    [(1, 0, "folds must be at least 2"), (3, -1, "embargo must be at least 0"), (11, 0, "at least as many as folds")],
)
def test_folds_that_cannot_be_are_refused(folds: int, embargo: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(purged_folds(np.arange(10), np.arange(10) + 1, folds=folds, embargo=embargo))


def test_starts_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="starts must ascend"):
        list(purged_folds(np.array([3, 1, 2]), np.array([4, 5, 6]), folds=2, embargo=0))


@settings(max_examples=100, deadline=None)
@given(gaps=st.lists(st.integers(0, 4), min_size=1, max_size=40), length=st.integers(2, 9))
def test_uniqueness_equals_a_count_bar_by_bar(gaps: list[int], length: int) -> None:
    starts = np.cumsum(np.array(gaps, dtype=np.int64))
    ends = starts + length
    spans = [range(int(a) + 1, int(b)) for a, b in zip(starts, ends, strict=True)]
    expected = [np.mean([1.0 / sum(bar in other for other in spans) for bar in span]) for span in spans]
    np.testing.assert_allclose(average_uniqueness(starts, ends), expected, rtol=1e-12)


def test_labels_apart_are_unique_and_none_have_none() -> None:
    assert average_uniqueness(np.array([0, 10]), np.array([5, 15])).tolist() == [1.0, 1.0]
    assert average_uniqueness(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)).tolist() == []
    with pytest.raises(ValueError, match="at least one bar"):
        average_uniqueness(np.array([3]), np.array([4]))
