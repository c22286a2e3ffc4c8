"""Requests that several replicas take from one count in blocks."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisConnectionError

from serve_apps.edges import request_blocks
from serve_apps.edges.request_blocks import MOST_AT_ONCE, RequestBlocks
from serve_apps.edges.request_windows import Window

WINDOW_S = 60.0


class Count:
    """What Redis would count, with a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.asked: list[int] = []
        self.down = False
        self._windows: dict[str, tuple[float, int]] = {}

    async def take(self, client: str, requests: int) -> Window:
        await asyncio.sleep(0)
        if self.down:
            raise RedisConnectionError("cut")
        self.asked.append(requests)
        ends_at, count = self._windows.get(client, (0.0, 0))
        if self.now >= ends_at:
            ends_at, count = self.now + WINDOW_S, 0
        self._windows[client] = (ends_at, count + requests)
        return Window(count + requests, ends_at - self.now)


def replica(count: Count, limit: int) -> RequestBlocks:
    return RequestBlocks(count, limit, lambda: count.now)


def numbers(blocks: RequestBlocks, requests: int, client: str = "a") -> list[int]:
    async def take() -> list[int]:
        return [(await blocks.count(client)).requests for _ in range(requests)]

    return asyncio.run(take())


def test_with_a_small_limit_every_request_is_counted_by_itself() -> None:
    count = Count()
    assert numbers(replica(count, 100), 120) == list(range(1, 121))
    assert count.asked == [1] * 120


def test_far_from_the_limit_redis_is_asked_for_many_at_once_and_the_numbers_have_no_gap() -> None:
    count = Count()
    assert numbers(replica(count, 10**9), 1000) == list(range(1, 1001))
    assert len(count.asked) <= 2 + 1000 // MOST_AT_ONCE
    assert max(count.asked) == MOST_AT_ONCE


@given(st.integers(1, 20_000), st.lists(st.integers(0, 3), min_size=1, max_size=300), st.integers(1, 40))
def test_replicas_never_let_more_through_than_the_limit_and_hardly_fewer(
    limit: int, order: list[int], repeated: int
) -> None:
    count = Count()
    replicas = [replica(count, limit) for _ in range(4)]
    taken = [number for one in order for number in numbers(replicas[one], repeated)]
    assert max(Counter(taken).values()) == 1
    let_through = sum(number <= limit for number in taken)
    assert let_through <= limit
    # What a replica holds back is a small part of what was left when it took it.
    assert let_through >= min(len(taken), limit - 4 * (limit // 256))


def test_requests_at_once_share_blocks_and_none_is_counted_twice() -> None:
    count = Count()
    blocks = replica(count, 10**6)

    async def scenario() -> list[int]:
        await blocks.count("a")
        found: list[int] = []
        for _ in range(20):
            found += [window.requests for window in await asyncio.gather(*(blocks.count("a") for _ in range(10)))]
        return found

    found = asyncio.run(scenario())
    assert len(set(found)) == 200
    assert len(count.asked) < 50


def test_a_block_ends_with_its_window_and_a_client_has_its_own() -> None:
    count = Count()
    blocks = replica(count, 10**6)
    numbers(blocks, 3)
    count.now += WINDOW_S
    assert numbers(blocks, 2) == [1, 2]
    assert numbers(blocks, 1, "b") == [1]
    count.now += 15.0
    assert asyncio.run(blocks.count("a")) == Window(3, WINDOW_S - 15.0)


def test_what_is_held_is_used_up_before_a_lost_redis_is_noticed() -> None:
    count = Count()
    blocks = replica(count, 10**9)
    numbers(blocks, 2)
    count.down = True
    assert numbers(blocks, MOST_AT_ONCE - 1) == list(range(3, MOST_AT_ONCE + 2))
    with pytest.raises(RedisConnectionError):
        numbers(blocks, 1)


def test_the_longest_known_client_is_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_blocks, "LOCAL_CLIENTS", 2)
    count = Count()
    blocks = replica(count, 10**9)
    for client in "abc":
        numbers(blocks, 1, client)
    assert set(blocks._held) == {"b", "c"}
    assert numbers(blocks, 1, "a") == [2]
