"""What may wait at a proxy, with an application that answers when the test says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Message, Receive, Scope, Send

from serve_apps.edges.waiting_room import (
    FEW_WAITING,
    LONGEST_WAIT_S,
    MOST_WAITING,
    MOST_WAITING_TOGETHER,
    WaitingRoom,
    middlewares,
)


class Proxy:
    """A waiting room before an application that holds its answers back."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.room = WaitingRoom(self.answer, clock=lambda: self.now_s)
        self.let_begin = asyncio.Event()
        self.let_end = asyncio.Event()
        self.tasks: list[asyncio.Task[list[Message]]] = []

    async def answer(self, scope: Scope, _receive: Receive, send: Send) -> None:
        await self.let_begin.wait()
        if scope["path"] == "/broken":
            raise RuntimeError("broken")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await self.let_end.wait()
        await send({"type": "http.response.body", "body": b""})

    async def ask(self, path: str, kind: str = "http") -> list[Message]:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request"}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.room({"type": kind, "path": path}, receive, send)
        return sent

    async def fill(self, path: str, count: int) -> None:
        self.tasks += [asyncio.create_task(self.ask(path)) for _ in range(count)]
        await asyncio.sleep(0)

    async def is_turned_away(self, path: str) -> bool:
        """Ask once more; one that is let in goes on waiting."""
        task = asyncio.create_task(self.ask(path))
        await asyncio.sleep(0)
        if task.done():
            return task.result()[0]["status"] == 503
        self.tasks.append(task)
        return False


@asynccontextmanager
async def proxy() -> AsyncIterator[Proxy]:
    made = Proxy()
    yield made
    made.let_begin.set()
    made.let_end.set()
    await asyncio.wait_for(asyncio.gather(*made.tasks, return_exceptions=True), 10.0)
    assert made.room._waiting == {}
    assert made.room._together == 0


def test_who_comes_when_it_is_full_is_told_when_to_come_again() -> None:
    async def scenario() -> None:
        async with proxy() as one:
            await one.fill("/generate_signal", MOST_WAITING)
            start, body = await one.ask("/generate_signal")
            assert start["status"] == 503
            assert (b"retry-after", b"1") in start["headers"]
            assert json.loads(body["body"])["error"]["code"] == "busy"
            assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()

    asyncio.run(scenario())


def test_a_slow_service_leaves_room_for_the_others_up_to_a_number_together() -> None:
    async def scenario() -> None:
        async with proxy() as one:
            await one.fill("/risk/var", MOST_WAITING)
            assert await one.is_turned_away("/risk/assess")
            for name in range(MOST_WAITING_TOGETHER // MOST_WAITING - 1):
                await one.fill(f"/service{name}/x", MOST_WAITING)
            assert await one.is_turned_away("/portfolio/orders")

    asyncio.run(scenario())


def test_more_than_a_few_are_turned_away_once_the_first_has_waited_too_long() -> None:
    async def scenario() -> None:
        async with proxy() as one:
            await one.fill("/a", FEW_WAITING - 1)
            one.now_s = LONGEST_WAIT_S + 0.1
            assert not await one.is_turned_away("/a")
            assert await one.is_turned_away("/a")
            assert not await one.is_turned_away("/b")

    asyncio.run(scenario())


def test_a_stream_that_has_begun_and_a_request_that_failed_no_longer_wait() -> None:
    async def scenario() -> None:
        async with proxy() as one:
            await one.fill("/a", MOST_WAITING)
            await one.fill("/broken", MOST_WAITING)
            one.let_begin.set()
            await asyncio.sleep(0.01)
            assert sum(not task.done() for task in one.tasks) == MOST_WAITING
            one.let_begin.clear()
            assert not await one.is_turned_away("/a")
            assert not await one.is_turned_away("/broken")

    asyncio.run(scenario())


@pytest.mark.parametrize("path", ["/-/healthz", "/health", "/health/ready", "/risk/health", "/ready", "/risk/ready"])
def test_probes_are_let_in_however_full_it_is(path: str) -> None:
    async def scenario() -> None:
        async with proxy() as one:
            for name in range(MOST_WAITING_TOGETHER // MOST_WAITING):
                await one.fill(f"/service{name}", MOST_WAITING)
            assert not await one.is_turned_away(path)

    asyncio.run(scenario())


def test_serve_is_handed_the_room_as_a_middleware() -> None:
    (middleware,) = middlewares()
    assert middleware.cls is WaitingRoom
