"""One market from its exchange to Kafka: all of its history once, then what is new, with its gaps repaired.

Nothing here is remembered across a restart but what PostgreSQL holds: what to ask for follows from the stored
candles. Asking again is harmless, since a candle's identity and revision decide what its message changes.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alpharay.bus.dead_letters import refuse
from alpharay.bus.messages import CandleMessage
from alpharay.bus.producer import MessageProducer
from alpharay.bus.topics import CANDLES
from alpharay.feeds.backfill import CandlePage, CandleSource, backfill_pages
from alpharay.market.candles import VALUE_COLUMNS, Candles, IntArray
from alpharay.market.gaps import Gap, find_gaps
from alpharay.market.quality import RefusedCandle
from alpharay.market.timeframe import open_time_at, timeframe_ms
from alpharay.store.candle_rows import Market
from alpharay.store.candles import load_open_times
from alpharay.store.database import DatabasePool
from alpharay.store.ingested_markets import absent_ranges, record_absent, report_progress
from alpharay.store.kept_candles import kept_from

SOURCE = "candle-ingestor"

UNSETTLED_CANDLES = 10
"""The newest candles are asked for again every round: exchanges add and correct the last ones late."""

REPAIR_EVERY_ROUNDS = 60

REMEMBERED_REFUSALS = 10_000


@dataclass(frozen=True, slots=True)
class IngestionRound:
    """What one round did; `complete_until` (UTC ms) is the end of the newest candle that was closed."""

    published: int
    refused: int
    complete_until: int


def shard_of(market: Market, shards: int) -> int:
    """Return the shard, 0 to `shards` - 1, that a market belongs to.

    The same in every process and for ever.
    """
    return zlib.crc32("\n".join(market).encode()) % shards


def missing_ranges(
    open_times: IntArray, absent: Sequence[Gap], timeframe: str, start_ms: int, end_ms: int
) -> tuple[Gap, ...]:
    """Return what to ask for in `[start_ms, end_ms)`: periods with neither a candle nor a confirmed absence.

    `open_times` and `absent` are in increasing order; absent ranges may overlap.
    """
    missing = []
    for gap in find_gaps(open_times, timeframe, start_ms, end_ms):
        start = gap.start_ms
        for known in absent:
            if known.end_ms <= start or known.start_ms >= gap.end_ms:
                continue
            if known.start_ms > start:
                missing.append(Gap(start, known.start_ms))
            start = known.end_ms
        if start < gap.end_ms:
            missing.append(Gap(start, gap.end_ms))
    return tuple(missing)


class MarketIngestion:
    """Publishes one market's candles; `run_round` again and again, from one thread."""

    def __init__(
        self,
        market: Market,
        start_ms: int,
        *,
        source: CandleSource,
        pool: DatabasePool,
        producer: MessageProducer,
        ingestor: str,
        after_page: Callable[[], None] = lambda: None,
    ) -> None:
        self.market = market
        self.start_ms = start_ms
        self._source = source
        self._pool = pool
        self._producer = producer
        self._ingestor = ingestor
        self._after_page = after_page
        self._length = timeframe_ms(market.timeframe)
        self._rounds = 0
        self._complete_until: int | None = None
        self._newest: dict[int, tuple[float, ...]] = {}
        self._refused: set[str] = set()

    def run_round(self) -> IngestionRound:
        """Ask for what is missing up to the exchange's last closed candle, and publish it.

        The first round and every `REPAIR_EVERY_ROUNDS`th look through all of the stored history for gaps; the
        others ask only for the newest candles. Raises FeedError, PublishError and psycopg's errors; a round
        that failed is begun again by the next one from what is stored then.
        """
        end = open_time_at(self._source.now_ms(), self.market.timeframe)
        unsettled = max(end - UNSETTLED_CANDLES * self._length, self.start_ms)
        published = refused = 0
        if self._rounds % REPAIR_EVERY_ROUNDS == 0:
            for gap in self._missing(unsettled):
                for page in self._pages(gap.start_ms, gap.end_ms):
                    page_published, page_refused = self._publish_history(page)
                    published += page_published
                    refused += page_refused
        # Where the last round is long ago, by this clock or the exchange's, all that has closed since is new.
        since = unsettled if self._complete_until is None else min(unsettled, self._complete_until)
        recent_published, recent_refused = self._publish_recent(since, end)
        self._complete_until = end
        self._rounds += 1
        return IngestionRound(published + recent_published, refused + recent_refused, end)

    def _missing(self, end: int) -> tuple[Gap, ...]:
        market, start = self.market, self.start_ms
        with self._pool.connection() as connection:
            stored = load_open_times(connection, market, start_ms=start, end_ms=end)
            absent = absent_ranges(connection, market, start_ms=start, end_ms=end)
            # Asked last: what retention has ended until now, it had decided before.
            start = max(start, kept_from(connection, market) or start)
        return missing_ranges(stored, absent, market.timeframe, start, end)

    def _pages(self, start: int, end: int) -> Iterable[CandlePage]:
        return backfill_pages(self._source, self.market.symbol, self.market.timeframe, start, end)

    def _publish_history(self, page: CandlePage) -> tuple[int, int]:
        """Publish a page; ask again where candles are missing or bad; remember what the exchange lacks."""
        published = self._publish(page.candles, page.received_at_ms)
        refused = self._set_aside(page.refused)
        found, spoiled = page.candles.open_time, _readable_times(page.refused)
        gaps = find_gaps(found, self.market.timeframe, page.start_ms, page.end_ms)
        if gaps:
            for again in self._pages(gaps[0].start_ms, gaps[-1].end_ms):
                published += self._publish(_new_rows(again.candles, found), again.received_at_ms)
                refused += self._set_aside(again.refused)
                found = np.union1d(found, again.candles.open_time)
                spoiled = np.union1d(spoiled, _readable_times(again.refused))
            # A row that was refused twice is no absence: the exchange has the candle and may correct it.
            known = np.union1d(found, spoiled)
            gaps = find_gaps(known, self.market.timeframe, page.start_ms, page.end_ms)
        self._producer.flush()
        self._report(page.end_ms, published=published, refused=refused, absent=gaps)
        self._after_page()
        return published, refused

    def _publish_recent(self, start: int, end: int) -> tuple[int, int]:
        """Publish what is new or changed among the newest candles; absent ones may still come."""
        published = refused = 0
        for page in self._pages(start, end):
            values = _values_by_time(page.candles)
            changed = [time for time, value in values.items() if self._newest.get(time) != value]
            rows = np.isin(page.candles.open_time, np.array(changed, dtype=np.int64))
            published += self._publish(_rows(page.candles, rows), page.received_at_ms)
            refused += self._set_aside(page.refused)
            self._newest |= values
        self._producer.flush()
        self._newest = {time: value for time, value in self._newest.items() if time >= start}
        self._report(end, published=published, refused=refused, complete_until=end)
        return published, refused

    def _publish(self, candles: Candles, received_at_ms: int) -> int:
        columns = (candles.open_time, *(getattr(candles, name) for name in VALUE_COLUMNS))
        exchange, symbol, timeframe = self.market
        correlation_id = f"{self._ingestor}-{received_at_ms}"
        for time, open_, high, low, close, volume in zip(*(column.tolist() for column in columns), strict=True):
            message = CandleMessage(
                exchange=exchange,
                symbol=symbol,
                timeframe=timeframe,
                open_time=time,
                open=open_,
                high=high,
                low=low,
                close=close,
                volume=volume,
                revision=received_at_ms,
            )
            self._producer.publish(CANDLES, message, key=symbol, correlation_id=correlation_id)
        return len(candles)

    def _set_aside(self, rows: Iterable[RefusedCandle]) -> int:
        """Send refused rows to dead letters, each once in this process: every round may meet them again."""
        refused = 0
        for row in rows:
            value = json.dumps([*self.market, *row.row], default=str)
            if value in self._refused:
                continue
            if len(self._refused) < REMEMBERED_REFUSALS:
                self._refused.add(value)
            refuse(
                self._producer,
                value.encode(),
                reason=f"{row.rule}: {row.reason}",
                source=SOURCE,
                topic=None,
                key=self.market.symbol,
            )
            refused += 1
        return refused

    def _report(
        self,
        asked_until: int,
        *,
        published: int,
        refused: int,
        complete_until: int | None = None,
        absent: Sequence[Gap] = (),
    ) -> None:
        with self._pool.connection() as connection:
            record_absent(connection, self.market, absent)
            report_progress(
                connection,
                self.market,
                ingestor=self._ingestor,
                asked_until=asked_until,
                complete_until=complete_until,
                published_rows=published,
                refused_rows=refused,
            )


def _values_by_time(candles: Candles) -> dict[int, tuple[float, ...]]:
    columns = [getattr(candles, name).tolist() for name in VALUE_COLUMNS]
    return dict(zip(candles.open_time.tolist(), zip(*columns, strict=True), strict=True))


def _new_rows(candles: Candles, known: IntArray) -> Candles:
    return _rows(candles, np.isin(candles.open_time, known, invert=True))


def _rows(candles: Candles, chosen: npt.NDArray[np.bool_]) -> Candles:
    columns = (getattr(candles, name)[chosen] for name in VALUE_COLUMNS)
    return Candles(candles.exchange, candles.symbol, candles.timeframe, candles.open_time[chosen], *columns)


def _readable_times(rows: Iterable[RefusedCandle]) -> IntArray:
    times = (row.row[0] for row in rows if row.row)
    return np.array([int(time) for time in times if isinstance(time, int | float) and time == time], np.int64)
