"""What time it is at an exchange: data age is measured against it."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx

from alpharay.market.sample import SIMULATED_EXCHANGE

TIMEOUT_S = 2.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class ExchangeClock:
    """The clocks of all exchanges: the replay's for the simulated one, this machine's for the others.

    `refresh` asks; `now_ms` only reads, so a request may call it. Between two refreshes, and while the simulated
    exchange does not answer, its clock runs on at the speed of life. `wall_clock_ms` and `monotonic` (s) can be
    replaced by tests.
    """

    def __init__(
        self,
        simulated_url: str | None,
        *,
        wall_clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic: Callable[[], float] = time.monotonic,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._wall_clock_ms = wall_clock_ms
        self._monotonic = monotonic
        self._replay: tuple[int, float] | None = None
        self._client: httpx.Client | None = None
        if simulated_url is not None:
            direct = urlsplit(simulated_url).hostname in _LOOPBACK
            self._client = httpx.Client(
                base_url=simulated_url, timeout=TIMEOUT_S, trust_env=not direct, transport=transport
            )

    def refresh(self) -> None:
        """Ask the simulated exchange for its time; raises ConnectionError, keeping the time known, when it fails."""
        if self._client is None:
            return
        try:
            answer = self._client.get("/api/v3/time").raise_for_status()
            now_ms = int(answer.json()["serverTime"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise ConnectionError(f"the simulated exchange at {self._client.base_url} told no time: {error}") from error
        self._replay = (now_ms, self._monotonic())

    def now_ms(self, exchange: str) -> int | None:
        """Return the exchange's time, UTC ms; None when the simulated exchange has never answered."""
        if exchange != SIMULATED_EXCHANGE:
            return self._wall_clock_ms()
        if self._replay is None:
            return None
        told_ms, at = self._replay
        return told_ms + int((self._monotonic() - at) * 1000.0)

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
