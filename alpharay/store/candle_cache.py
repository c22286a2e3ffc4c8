"""Candles that a worker has read, so that windows that end together are read once: each is the end of the longest."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.market.candles import VALUE_COLUMNS, Candles
from alpharay.store.candle_rows import Market
from alpharay.store.candles import load_candles

MAX_BYTES = 128 * 1024 * 1024
"""Two and a half million candles: a year of minutes is five of these data sets."""

MAX_AGE_S = 300.0
"""Candles may be corrected after they were read, so they are read again after this."""


@dataclass(frozen=True, slots=True)
class _Read:
    candles: Candles
    start_ms: int
    read_at: float

    @property
    def size(self) -> int:
        return sum(getattr(self.candles, name).nbytes for name in ("open_time", *VALUE_COLUMNS))


class CandleCache:
    """The data sets (a market and the end of a window) that were used last, in at most `max_bytes`.

    The one in use stays, even when it is larger. Not for several threads.
    """

    def __init__(
        self,
        max_bytes: int = MAX_BYTES,
        *,
        max_age_s: float = MAX_AGE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._clock = clock
        self._sets: OrderedDict[tuple[Market, int], _Read] = OrderedDict()

    @property
    def symbols(self) -> set[tuple[str, str]]:
        """The (exchange, symbol) pairs whose candles are here."""
        return {(market.exchange, market.symbol) for market, _ in self._sets}

    def window(
        self,
        connection: Connection[TupleRow],
        market: Market,
        start_ms: int,
        end_ms: int,
        *,
        longest_from_ms: int | None = None,
    ) -> Candles:
        """Return a market's candles that open in `[start_ms, end_ms)`, views on what is here.

        What is not here is read, from `longest_from_ms` on when windows that begin earlier will be asked for.
        """
        key = (market, end_ms)
        kept = self._sets.get(key)
        if kept is None or kept.start_ms > start_ms or self._clock() - kept.read_at > self._max_age_s:
            from_ms = start_ms if longest_from_ms is None else min(start_ms, longest_from_ms)
            candles = load_candles(connection, market, start_ms=from_ms, end_ms=end_ms)
            kept = self._sets[key] = _Read(candles, from_ms, self._clock())
        self._sets.move_to_end(key)
        while len(self._sets) > 1 and sum(item.size for item in self._sets.values()) > self._max_bytes:
            self._sets.popitem(last=False)
        return kept.candles.between(start_ms, end_ms)
