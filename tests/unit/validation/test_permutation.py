"""The permutation test: its p-values are valid, stop early at no cost, and do not depend on who computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from alpharay.market.synthetic import garch_candles
from alpharay.validation.permutation import exceedances_at, permutation_test

CANDLES = garch_candles(60, 1)


def last_return(candles):
    """A statistic that a drift makes large."""
    return float(candles.close[-1] / candles.open[0] - 1.0)


class Threads:
    """Several workers."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.items = 0

    def __call__(self, function: Callable, items: Iterable) -> Iterable:
        items = list(items)
        self.items += len(items)
        with ThreadPoolExecutor(self.workers) as pool:
            return list(pool.map(function, items))


def test_p_counts_the_observed_series_as_one_of_the_permutations():
    result = permutation_test(last_return, CANDLES, permutations=19, observed=np.inf)
    assert (result.p_value, result.exceedances, len(result.null)) == (1 / 20, 0, 19)
    result = permutation_test(last_return, CANDLES, permutations=19, observed=-np.inf)
    assert (result.p_value, result.exceedances) == (1.0, 19)


def test_ties_count_against_the_observed_series():
    assert permutation_test(lambda _: 1.0, CANDLES, permutations=9).p_value == 1.0


def test_p_is_one_when_neither_search_finds_anything():
    assert permutation_test(lambda _: -np.inf, CANDLES, permutations=9).p_value == 1.0


def test_stopping_after_h_exceedances_gives_h_over_n():
    null = permutation_test(last_return, CANDLES, permutations=200, observed=0.0).null
    hits = np.flatnonzero(null >= 0.0)
    result = permutation_test(last_return, CANDLES, permutations=200, observed=0.0, stop_after=5)
    assert result.stopped_early
    assert len(result.null) == hits[4] + 1
    assert result.p_value == 5 / (hits[4] + 1)
    np.testing.assert_array_equal(result.null, null[: hits[4] + 1])


@pytest.mark.parametrize(
    ("level", "permutations", "most"), [(0.05, 19, 1), (0.05, 39, 2), (0.05, 99, 5), (0.2, 99, 20)]
)
def test_stopping_at_the_level_never_stops_what_could_have_passed(level, permutations, most):
    h = exceedances_at(level, permutations)
    assert h == most
    assert h / (1 + permutations) <= level + 1e-12 < (h + 1) / (1 + permutations)
    # Stopped at the last moment, p is above the level; one exceedance fewer passes.
    assert h / permutations > level
    assert (1 + h - 1) / (1 + permutations) <= level + 1e-12


@pytest.mark.parametrize("stop_after", [None, 3])
def test_p_values_are_uniform_where_the_series_is_itself_a_flip(stop_after):
    """At most `level` of the p-values are at most `level`, at every level, up to chance."""
    p_values = np.array(
        [
            permutation_test(
                last_return, garch_candles(20, 1_000 + seed), permutations=19, seed=seed, stop_after=stop_after
            ).p_value
            for seed in range(300)
        ]
    )
    for level in (0.05, 0.1, 0.2, 0.5):
        deviation = np.sqrt(level * (1.0 - level) / 300)
        share = np.mean(p_values <= level)
        assert share <= level + 4.0 * deviation
        if stop_after is None:
            assert share >= level - 4.0 * deviation


def test_a_level_that_no_count_reaches_stops_at_the_first_exceedance():
    assert exceedances_at(0.01, 19) == 1
    # 39 * 0.05 = 1.95: with a second exceedance p is 3 / 39.
    assert exceedances_at(0.05, 38) == 1


def test_one_permutation_and_a_stop_at_the_first_exceedance_are_allowed():
    result = permutation_test(last_return, CANDLES, permutations=1, observed=-np.inf, stop_after=1)
    assert (result.p_value, result.exceedances, result.stopped_early) == (1.0, 1, False)
    result = permutation_test(last_return, CANDLES, permutations=9, observed=-np.inf, stop_after=1)
    assert (result.p_value, len(result.null), result.stopped_early) == (1.0, 1, True)
    assert not permutation_test(last_return, CANDLES, permutations=9, observed=0.0).stopped_early


def test_by_default_every_row_may_flip_and_the_seed_is_zero():
    def first_close(candles):
        return float(candles.close[0])

    null = permutation_test(first_close, CANDLES, permutations=20).null
    assert len(np.unique(null)) == 2
    np.testing.assert_array_equal(permutation_test(first_close, CANDLES, permutations=20, seed=0, start=0).null, null)


@pytest.mark.parametrize(("workers", "permutations", "items"), [(7, 5, 5), (7, 8, 8), (3, 9, 9)])
def test_no_more_flips_are_computed_than_were_asked_for(workers, permutations, items):
    threads = Threads(workers)
    permutation_test(last_return, CANDLES, permutations=permutations, executor=threads)
    assert threads.items == items


def test_an_executor_that_loses_a_result_is_an_error():
    class Losing(Threads):
        def __call__(self, function, items):
            return list(super().__call__(function, items))[1:]

    with pytest.raises(ValueError, match="shorter"):
        permutation_test(last_return, CANDLES, permutations=6, executor=Losing(3))


@pytest.mark.parametrize("workers", [2, 7])
def test_any_number_of_workers_gives_the_same_result(workers):
    serial = permutation_test(last_return, CANDLES, permutations=50, seed=4, observed=0.1, stop_after=4)
    shared = permutation_test(
        last_return, CANDLES, permutations=50, seed=4, observed=0.1, stop_after=4, executor=Threads(workers)
    )
    assert shared.p_value == serial.p_value
    np.testing.assert_array_equal(shared.null, serial.null)


def test_a_test_goes_on_from_the_statistics_that_are_known():
    seen = []
    whole = permutation_test(
        last_return, CANDLES, permutations=30, seed=2, on_null=lambda number, value: seen.append((number, value))
    )
    assert [number for number, _ in seen] == list(range(30))
    rest = Threads(1)
    resumed = permutation_test(
        last_return, CANDLES, permutations=30, seed=2, known=[value for _, value in seen[:21]], executor=rest
    )
    assert rest.items == 9
    np.testing.assert_array_equal(resumed.null, whole.null)


def test_other_seeds_flip_other_candles():
    one, other = (permutation_test(last_return, CANDLES, permutations=5, seed=seed).null for seed in (0, 1))
    assert not np.allclose(one, other)


def test_rows_before_the_start_are_the_same_in_every_flip():
    starts = permutation_test(lambda candles: float(candles.close[39]), CANDLES, permutations=9, start=40).null
    np.testing.assert_allclose(starts, CANDLES.close[39], rtol=1e-12)


def test_a_statistic_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="was NaN"):
        permutation_test(lambda _: float("nan"), CANDLES, permutations=9)


@pytest.mark.parametrize(("field", "value"), [("permutations", 0), ("stop_after", 0)])
def test_a_count_below_one_is_named(field, value):
    with pytest.raises(ValueError, match=f"{field} must be at least 1, was 0"):
        permutation_test(last_return, CANDLES, **{"permutations": 9, field: value})
