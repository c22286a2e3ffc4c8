"""Binance's request limit: so much weight a minute per address, then 429, then a ban with 418."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

DEFAULT_WEIGHT_LIMIT = 6000
"""Binance's limit for spot market data, a minute and address."""

MAX_CLIENTS = 1024
IGNORED_REFUSALS_BEFORE_BAN = 10


@dataclass(slots=True)
class _Account:
    minute: int = -1
    used: int = 0
    refusals: int = 0
    banned_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may pass: `status` 200, 429 or 418; the weight used this minute; seconds to wait."""

    status: int
    used_weight: int
    retry_after_s: int = 0


class RequestWeight:
    """The weight that each client used in the current real minute; knows the newest `MAX_CLIENTS` clients."""

    def __init__(self, limit: int, ban_s: int = 120, clock: Callable[[], float] = time.time) -> None:
        if limit < 1:
            raise ValueError(f"weight limit must be 1 or more, was {limit}")
        self.limit = limit
        self._ban_s = ban_s
        self._clock = clock
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    def charge(self, client: str, weight: int) -> Verdict:
        """Count a request of `weight`. A client that goes on after ten refusals in a minute is banned."""
        now = self._clock()
        account = self._accounts.setdefault(client, _Account())
        self._accounts.move_to_end(client)
        if len(self._accounts) > MAX_CLIENTS:
            self._accounts.popitem(last=False)
        if now < account.banned_until:
            return Verdict(418, account.used, int(account.banned_until - now) + 1)
        minute = int(now // 60)
        if minute != account.minute:
            account.minute, account.used, account.refusals = minute, 0, 0
        account.used += weight
        if account.used <= self.limit:
            return Verdict(200, account.used)
        account.refusals += 1
        if account.refusals > IGNORED_REFUSALS_BEFORE_BAN:
            account.banned_until = now + self._ban_s
            return Verdict(418, account.used, self._ban_s)
        return Verdict(429, account.used, int((minute + 1) * 60 - now) + 1)
