"""False-discovery procedures: the published example, plain formulas, and the rate over simulated streams."""

from __future__ import annotations

import numpy as np
import pytest

from alpharay.validation.false_discovery import (
    CANDIDATE_LEVEL,
    RATE,
    Procedure,
    adjusted_p_values,
    lond_level,
    lord_level,
    online_levels,
    saffron_level,
)

# Benjamini & Hochberg 1995, section 3.3: fifteen ordered p-values of a heart study.
HEART_STUDY = (
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590,
    1.0000,
)  # fmt: skip


def weight(place: int) -> float:
    total = sum(number**-1.6 for number in range(1, 2_000_000)) + 2_000_000**-0.6 / 0.6
    return place**-1.6 / total


def test_the_papers_example_has_four_discoveries() -> None:
    assert int(np.sum(adjusted_p_values(HEART_STUDY) <= 0.05)) == 4
    # A Bonferroni test at 5 % finds three, as the paper says; under any dependence the four become three here.
    assert int(np.sum(np.array(HEART_STUDY) <= 0.05 / 15)) == 3
    assert int(np.sum(adjusted_p_values(HEART_STUDY, any_dependence=True) <= 0.05)) == 3


def test_no_tests_have_no_adjusted_p_values() -> None:
    assert len(adjusted_p_values([])) == 0
    assert len(online_levels(saffron_level, [])) == 0


def test_the_first_levels_are_those_of_the_formulas() -> None:
    p_values = [0.9, 0.001, 0.3, 0.6]
    lord = online_levels(lord_level, p_values)
    assert lord[:2] == pytest.approx([0.025 * weight(1), 0.025 * weight(2)], rel=1e-5)
    # The second test is found: its reward is the rate less the starting wealth.
    assert lord[2] == pytest.approx(0.025 * weight(3) + 0.025 * weight(1), rel=1e-5)
    assert lord[3] == pytest.approx(0.025 * weight(4) + 0.025 * weight(2), rel=1e-5)
    saffron = online_levels(saffron_level, p_values)
    # The first, above one half, is paid for; the second and third are candidates and cost nothing.
    assert saffron[:2] == pytest.approx([0.5 * 0.025 * weight(1), 0.5 * 0.025 * weight(2)], rel=1e-5)
    assert saffron[2] == pytest.approx(0.5 * (0.025 * weight(2) + 0.025 * weight(1)), rel=1e-5)
    assert saffron[3] == pytest.approx(0.5 * (0.025 * weight(2) + 0.025 * weight(1)), rel=1e-5)
    lond = online_levels(lond_level, p_values)
    assert lond == pytest.approx([0.05 * 6 / np.pi**2 / n**2 * f for n, f in ((1, 1), (2, 1), (3, 2), (4, 2))])


@pytest.mark.parametrize("procedure", [lond_level, lord_level, saffron_level])
def test_a_level_depends_on_nothing_that_comes_after(procedure: Procedure) -> None:
    p_values = np.random.default_rng(0).random(60) ** 3
    all_levels = online_levels(procedure, p_values)
    for length in (0, 1, 7, 30):
        np.testing.assert_array_equal(online_levels(procedure, p_values[:length]), all_levels[:length])
    changed = p_values.copy()
    changed[30:] = 0.0
    np.testing.assert_array_equal(online_levels(procedure, changed)[:31], all_levels[:31])


@pytest.mark.parametrize("procedure", [lond_level, lord_level, saffron_level])
@pytest.mark.parametrize("edges", [0.0, 0.2])
def test_the_share_of_false_ones_stays_below_the_rate(procedure: Procedure, edges: float) -> None:
    generator = np.random.default_rng(5)
    shares, found_edges = [], 0
    for _ in range(120):
        real = generator.random(150) < edges
        p_values = np.where(real, generator.random(150) * 1e-5, generator.random(150))
        found = p_values <= online_levels(procedure, p_values)
        shares.append(float((found & ~real).sum() / max(found.sum(), 1)))
        found_edges += int((found & real).sum())
    assert float(np.mean(shares)) <= RATE + 0.02
    assert found_edges > 0 or edges == 0.0


def test_saffron_finds_more_weak_edges_than_lord_when_half_are_real() -> None:
    generator = np.random.default_rng(6)
    counts = np.zeros(2)
    for _ in range(40):
        real = generator.random(200) < 0.5
        p_values = np.where(real, generator.beta(0.05, 4.0, 200), generator.random(200))
        for place, procedure in enumerate((lord_level, saffron_level)):
            counts[place] += int((p_values <= online_levels(procedure, p_values)).sum())
    assert counts[1] > counts[0]


def test_candidates_cost_saffron_nothing_and_sure_nulls_do() -> None:
    candidates = online_levels(saffron_level, [CANDIDATE_LEVEL] * 50)
    assert (candidates == candidates[0]).all()
    nulls = online_levels(saffron_level, [0.9] * 50)
    assert (np.diff(nulls) < 0.0).all()
