"""The limit of requests: windows, and what happens while the shared count is away."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from alpharay.signals.refusal import RefusedError
from serve_apps.edges import request_windows
from serve_apps.edges.rate_limit import RETRY_S, Allowance, RateLimit, WithoutRedis
from serve_apps.edges.request_windows import LocalWindows, Window


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Shared:
    """A shared count that can be cut off."""

    def __init__(self, clock: Clock) -> None:
        self.down = False
        self.asked = 0
        self._windows = LocalWindows(60.0, clock)

    def held(self, client: str) -> None:
        """Nothing is held: it is asked each time."""

    async def count(self, client: str) -> Window:
        self.asked += 1
        if self.down:
            raise RedisConnectionError("cut")
        return self._windows.count(client)


def take(limit: RateLimit, client: str = "a") -> Allowance | None:
    return asyncio.run(limit.take(client))


def test_a_window_begins_with_its_first_request_and_ends_for_all_of_it_at_once() -> None:
    clock = Clock()
    windows = LocalWindows(60.0, clock)
    assert windows.count("a") == Window(1, 60.0)
    clock.now += 59.0
    assert windows.count("a") == Window(2, 1.0)
    assert windows.count("b") == Window(1, 60.0)
    clock.now += 1.0
    assert windows.count("a") == Window(1, 60.0)


def test_the_longest_known_client_is_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_windows, "LOCAL_CLIENTS", 3)
    windows = LocalWindows(60.0, Clock())
    for client in "abca":
        windows.count(client)
    windows.count("d")
    assert windows.count("b").requests == 2
    assert windows.count("a").requests == 1


def test_a_client_whose_window_began_anew_is_not_the_longest_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_windows, "LOCAL_CLIENTS", 2)
    clock = Clock()
    windows = LocalWindows(60.0, clock)
    windows.count("a")
    clock.now += 30.0
    windows.count("b")
    clock.now += 30.0
    windows.count("a")
    windows.count("c")
    assert windows.count("a").requests == 2


def test_while_one_request_tries_redis_again_the_others_do_not_wait() -> None:
    clock = Clock()
    shared = Shared(clock)
    limit = RateLimit(9, 60.0, shared, clock=clock)
    shared.down = True
    take(limit)
    clock.now += RETRY_S
    answering = asyncio.Event()

    async def slow(client: str) -> Window:
        shared.asked += 1
        await answering.wait()
        return Window(1, 60.0)

    async def both() -> Allowance | None:
        first = asyncio.create_task(limit.take("a"))
        await asyncio.sleep(0)
        second = await limit.take("a")
        answering.set()
        await first
        return second

    shared.count = slow  # type: ignore[method-assign]
    assert asyncio.run(both()) == Allowance(9, 7, 59)
    assert shared.asked == 2
    assert not limit.degraded


def test_replicas_share_one_count_and_the_headers_tell_it() -> None:
    clock = Clock()
    shared = Shared(clock)
    replicas = [RateLimit(3, 60.0, shared, clock=clock) for _ in range(2)]
    left = [take(replica) for replica in replicas * 2]
    assert [one.remaining for one in left if one is not None] == [2, 1, 0, -1]
    assert left[-1] is not None
    assert dict(left[-1].headers()) == {
        b"ratelimit-limit": b"3",
        b"ratelimit-remaining": b"0",
        b"ratelimit-reset": b"60",
    }


@pytest.mark.parametrize("without_redis", ["local", "open", "refuse"])
def test_without_redis_it_acts_as_configured_tells_so_and_recovers_by_itself(without_redis: WithoutRedis) -> None:
    clock = Clock()
    shared = Shared(clock)
    limit = RateLimit(2, 60.0, shared, without_redis=without_redis, clock=clock)
    assert limit.is_shared
    shared.down = True
    for expected in (1, 0, -1):
        if without_redis == "refuse":
            with pytest.raises(RefusedError) as error:
                take(limit)
            assert (error.value.refusal.code, error.value.refusal.retry_after_s) == ("rate_limit_unavailable", 1)
        else:
            allowance = take(limit)
            assert (None if allowance is None else allowance.remaining) == (
                expected if without_redis == "local" else None
            )
    assert limit.degraded
    assert not limit.is_shared
    # The first request found out; the others did not wait for Redis.
    assert (shared.asked, limit.failures) == (1, 1)
    shared.down = False
    clock.now += RETRY_S
    allowance = take(limit)
    assert allowance is not None
    assert allowance.remaining == 1
    assert limit.is_shared


def test_a_redis_that_hangs_is_waited_for_once_and_not_long(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging:
        def held(self, client: str) -> None:
            """Nothing is held."""

        async def count(self, client: str) -> Window:
            await asyncio.Event().wait()
            raise AssertionError(client)

    monkeypatch.setattr("serve_apps.edges.rate_limit.TIMEOUT_S", 0.01)
    limit = RateLimit(2, 60.0, Hanging(), clock=Clock())
    assert take(limit) == Allowance(2, 1, 60)
    assert limit.degraded
