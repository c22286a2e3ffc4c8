"""Answers kept under the client's id, so that the same request twice has the same answer."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

KEEP_S = 86_400
LOCAL_ANSWERS = 10_000
TIMEOUT_S = 0.5


class Remembered(NamedTuple):
    """An answer and the request that it answered."""

    request: bytes
    answer: bytes


class MemoryUnavailableError(ConnectionError):
    """The shared memory does not answer, so whether a request was answered before cannot be known."""


_decoder = msgspec.msgpack.Decoder(Remembered)


class RememberedAnswers:
    """Answers by the client's id, for a day: in Redis where all replicas see them, else in this process alone.

    Without a Redis the newest `LOCAL_ANSWERS` are kept.
    """

    def __init__(self, redis_url: str | None) -> None:
        self._local: OrderedDict[str, Remembered] = OrderedDict()
        self._redis: Redis | None = None
        if redis_url is not None:
            self._redis = Redis.from_url(
                redis_url,
                socket_timeout=TIMEOUT_S,
                socket_connect_timeout=TIMEOUT_S,
                max_connections=64,
            )

    @property
    def is_shared(self) -> bool:
        """Whether other processes see the same answers."""
        return self._redis is not None

    async def recall(self, name: str) -> Remembered | None:
        """Return what is kept under `name`; raises MemoryUnavailableError."""
        known = self._local.get(name)
        if known is not None or self._redis is None:
            return known
        try:
            value = await self._redis.get(_key(name))
        except (RedisError, OSError) as error:
            raise MemoryUnavailableError(str(error)) from error
        return None if value is None else self._keep(name, _read(value))

    async def remember(self, name: str, request: bytes, answer: bytes) -> Remembered:
        """Keep an answer under `name`, unless there is one already; return the one that is kept.

        Raises MemoryUnavailableError.
        """
        mine = Remembered(request, answer)
        if self._redis is None:
            return self._keep(name, self._local.get(name, mine))
        try:
            before = await self._redis.set(_key(name), msgspec.msgpack.encode(mine), nx=True, get=True, ex=KEEP_S)
        except (RedisError, OSError) as error:
            raise MemoryUnavailableError(str(error)) from error
        return self._keep(name, mine if before is None else _read(before))

    async def close(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            await self._redis.aclose()

    def _keep(self, name: str, answer: Remembered) -> Remembered:
        self._local[name] = answer
        if len(self._local) > LOCAL_ANSWERS:
            self._local.popitem(last=False)
        return answer


def _read(value: object) -> Remembered:
    assert isinstance(value, bytes), "the client decodes no text"
    return _decoder.decode(value)


def _key(name: str) -> str:
    return f"alpharay:signal:{name}"
