"""A borrowed array is the same memory, and nothing else can be borrowed."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

from alpharay.backtest.borrowed import borrowed


def test_what_is_written_to_a_borrowed_table_stands_in_the_table() -> None:
    table = np.zeros((3, 4))
    _write(table)
    expected = np.zeros((3, 4))
    expected[1, 2:] = 7.0
    np.testing.assert_array_equal(table, expected)


def test_a_view_in_pieces_is_borrowed_as_it_is() -> None:
    table = np.zeros((6, 8))
    _write(table[::2, ::2])
    assert (table[2, 4::2] == 7.0).all()
    assert table.sum() == 14.0


def test_borrowing_takes_and_gives_back_no_reference() -> None:
    table = np.zeros((3, 4))
    before = sys.getrefcount(table)
    for _ in range(100):
        _write(table)
    assert sys.getrefcount(table) == before


def test_a_number_cannot_be_borrowed() -> None:
    with pytest.raises(TypingError):
        _write(1.0)


@njit
def _write(table):  # type: ignore[no-untyped-def]
    view = borrowed(table)
    view[1, 2:] = 7.0
