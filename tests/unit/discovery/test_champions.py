from __future__ import annotations

import numpy as np

from alpharay.discovery.champions import best_distinct, no_champions


def test_champions_are_the_best_and_distinct_in_parameters_and_in_what_they_did() -> None:
    genomes = np.array([[3.0], [1.0], [2.0], [2.0], [5.0]])
    scores = np.array([7.0, 7.0, 9.0, 9.0, -np.inf])
    metrics = np.array([[1.0], [1.0], [2.0], [2.0], [3.0]])
    found = best_distinct(no_champions(1, 1, 1), genomes, scores[:, None], metrics, 5)
    assert found.genomes.tolist() == [[2.0], [1.0]]
    assert found.scores.tolist() == [9.0, 7.0]


def test_equal_scores_with_different_trades_are_both_kept_by_their_parameters() -> None:
    found = best_distinct(
        no_champions(1, 1, 1), np.array([[3.0], [1.0]]), np.array([[7.0], [7.0]]), np.array([[1.0], [2.0]]), 5
    )
    assert found.genomes.tolist() == [[1.0], [3.0]]


def test_earlier_champions_stay_until_better_ones_come_whatever_the_order() -> None:
    generator = np.random.default_rng(0)
    genomes = generator.integers(0, 50, (60, 2)).astype(float)
    scores = np.round(genomes.sum(axis=1) / 10.0)
    metrics = np.column_stack([scores, genomes[:, 0] // 5.0])
    whole = best_distinct(no_champions(2, 1, 2), genomes, scores[:, None], metrics, 5)
    bit_by_bit = no_champions(2, 1, 2)
    for rows in np.array_split(generator.permutation(60), 7):
        bit_by_bit = best_distinct(bit_by_bit, genomes[rows], scores[rows, None], metrics[rows], 5)
    assert whole.genomes.tolist() == bit_by_bit.genomes.tolist()
