from __future__ import annotations

import numpy as np

from alpharay.discovery.genome_keys import genome_keys, untried, with_keys


def test_equal_rows_have_equal_keys_and_a_million_different_ones_differ() -> None:
    grid = np.stack(np.meshgrid(np.arange(1000.0), np.arange(1000.0) / 100.0, indexing="ij"), axis=-1).reshape(-1, 2)
    keys = genome_keys(grid)
    assert len(np.unique(keys)) == len(grid)
    np.testing.assert_array_equal(genome_keys(grid[::-1]), keys[::-1])


def test_the_order_of_the_columns_matters() -> None:
    first, second = genome_keys(np.array([[1.0, 2.0], [2.0, 1.0]]))
    assert first != second


def test_untried_are_neither_known_nor_earlier_in_the_batch() -> None:
    keys = genome_keys(np.array([[1.0], [2.0], [1.0], [3.0], [2.0]]))
    assert untried(keys, np.empty(0, dtype=np.uint64)).tolist() == [True, True, False, True, False]
    tried = with_keys(np.empty(0, dtype=np.uint64), genome_keys(np.array([[2.0], [9.0]])))
    assert untried(keys, tried).tolist() == [True, False, False, True, False]
    assert untried(keys[:0], tried).tolist() == []
