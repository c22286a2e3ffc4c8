"""Which worker gets which item."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import pytest

from ray_jobs.work_shares import WorkShares


@dataclass(frozen=True)
class Item:
    affinity: str | None


def items(*affinities: str | None) -> list[Item]:
    return [Item(affinity) for affinity in affinities]


def test_items_without_affinity_are_runs_of_neighbours():
    assert WorkShares(2).split(range(5)) == [deque([0, 1, 2]), deque([3, 4])]
    assert WorkShares(3).split([]) == [deque(), deque(), deque()]


def test_an_affinity_stays_with_its_worker_from_call_to_call():
    shares = WorkShares(2)
    first = shares.split(items("a", "b", "a", "b"))
    assert first == [deque([0, 2]), deque([1, 3])]
    assert shares.split(items("b", "b", "a")) == [deque([2]), deque([0, 1])]


def test_a_new_affinity_goes_where_there_is_room():
    shares = WorkShares(2)
    shares.split(items("a", "b"))
    assert shares.split(items("new", "a", "a")) == [deque([1, 2]), deque([0])]


def test_items_with_and_without_affinity_may_be_mixed():
    places = WorkShares(2).split(items("a", None, "a", None))
    assert sorted(place for share in places for place in share) == [0, 1, 2, 3]
    assert {0, 2} <= set(places[0]) or {0, 2} <= set(places[1])


def test_homes_are_bounded_and_the_least_recently_used_is_forgotten():
    shares = WorkShares(2, homes=2)
    shares.split(items("a"))
    shares.split(items("x", "b", "b", "b", "a"))
    assert len(shares._homes) == 2


@pytest.mark.parametrize("workers", [1, 3, 8])
def test_every_item_is_in_one_share(workers: int):
    shares = WorkShares(workers).split(items(*"abcabcabddd"))
    assert sorted(place for share in shares for place in share) == list(range(11))
