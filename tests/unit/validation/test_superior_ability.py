"""Hansen's test: its size without an edge, its power with one, and White's bound."""

from __future__ import annotations

import numpy as np
import pytest

from alpharay.validation.superior_predictive_ability import superior_ability


def test_the_best_of_many_trials_without_an_edge_is_hardly_ever_significant() -> None:
    generator = np.random.default_rng(0)
    found = [superior_ability(generator.normal(0.0, 0.01, (20, 250)), repetitions=200, seed=n) for n in range(60)]
    rejected = sum(item.consistent <= 0.05 for item in found)
    # 60 runs at 5 %: more than 8 has a chance of 0.6 %.
    assert rejected <= 8


def test_one_real_edge_among_noise_is_found() -> None:
    excess = np.random.default_rng(1).normal(0.0, 0.01, (20, 500))
    excess[3] += 0.003
    assert superior_ability(excess, repetitions=500).upper < 0.01


def test_poor_trials_blow_up_the_reality_check_but_not_hansens_choice() -> None:
    generator = np.random.default_rng(2)
    excess = generator.normal(0.0, 0.01, (60, 500))
    excess[0] += 0.0013
    excess[1:] -= 0.02
    found = superior_ability(excess, repetitions=1000)
    assert found.lower <= found.consistent <= found.upper
    assert found.consistent < found.upper


def test_the_same_seed_gives_the_same_answer_and_constant_trials_are_left_out() -> None:
    excess = np.random.default_rng(3).normal(0.0, 0.01, (5, 100))
    with_idle = np.concatenate([excess, np.zeros((2, 100))])
    assert superior_ability(excess, seed=4) == superior_ability(with_idle, seed=4)
    assert superior_ability(with_idle).trials == 5


@pytest.mark.parametrize(("shape", "message"), [((3, 9), "at least 10 days"), ((3, 50), "varies")])
def test_what_cannot_be_tested_is_refused(shape: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        superior_ability(np.zeros(shape))
