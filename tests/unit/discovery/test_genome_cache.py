from __future__ import annotations

import numpy as np

from alpharay.discovery.genome_cache import GenomeCache


def test_only_genomes_not_seen_before_are_missing_each_once_in_order() -> None:
    cache = GenomeCache(10)
    first = np.array([[2.0, 1.0], [1.0, 9.0], [2.0, 1.0]])
    missing = cache.missing(first)
    assert missing.tolist() == [[1.0, 9.0], [2.0, 1.0]]
    answered = cache.answer(first, missing, np.array([[10.0], [20.0]]))
    assert answered.tolist() == [[20.0], [10.0], [20.0]]
    assert cache.missing(np.array([[1.0, 9.0], [3.0, 3.0]])).tolist() == [[3.0, 3.0]]
    assert cache.answer(first, np.empty((0, 2)), np.empty((0, 1))).tolist() == [[20.0], [10.0], [20.0]]


def test_the_cache_stays_bounded_and_forgets_what_was_used_longest_ago() -> None:
    cache = GenomeCache(3)
    for value in range(5):
        genome = np.array([[float(value)]])
        cache.answer(genome, genome, genome)
        kept = np.array([[0.0]])
        cache.answer(kept, cache.missing(kept), cache.missing(kept))
    assert len(cache) == 3
    assert cache.missing(np.array([[0.0], [1.0], [2.0], [3.0], [4.0]])).tolist() == [[1.0], [2.0]]


def test_more_genomes_in_one_generation_than_it_holds_are_all_answered() -> None:
    cache = GenomeCache(2)
    genomes = np.arange(5.0)[:, None]
    assert cache.answer(genomes, genomes, genomes * 2.0)[:, 0].tolist() == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert len(cache) == 2
