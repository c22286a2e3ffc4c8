"""Complete history, page by page: nothing skipped, nothing doubled, nothing that is still open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from alpharay.market.candles import Candles
from alpharay.market.quality import RefusedCandle, Row, check_candles
from alpharay.market.timeframe import open_time_at, timeframe_ms


@dataclass(frozen=True, slots=True)
class CandleAnswer:
    """An exchange's answer as it came: rows of open time (ms), prices and volume, nothing checked."""

    rows: Sequence[Row]
    received_at_ms: int
    """This machine's time when the answer was complete, UTC ms: the candles' revision."""


class CandleSource(Protocol):
    """What paging needs of an exchange; `ExchangeFeed` is one."""

    @property
    def name(self) -> str:
        """The exchange's name."""

    @property
    def page_limit(self) -> int:
        """The most candles that the exchange puts into one answer."""

    def now_ms(self) -> int:
        """Return the exchange's time, UTC ms."""

    def fetch_candles(self, symbol: str, timeframe: str, start_ms: int, limit: int) -> CandleAnswer:
        """Return the candles that open at `start_ms` or later, at most `limit`."""


@dataclass(frozen=True, slots=True)
class CandlePage:
    """What the exchange has of the time `[start_ms, end_ms)`: good candles (or none) and refused rows."""

    candles: Candles
    refused: tuple[RefusedCandle, ...]
    start_ms: int
    end_ms: int
    received_at_ms: int


def backfill_pages(
    source: CandleSource, symbol: str, timeframe: str, start_ms: int, end_ms: int | None = None
) -> Iterator[CandlePage]:
    """Yield the closed candles that open in `[start_ms, end_ms)` as pages, oldest first, without overlap.

    The exchange is asked for its time once, before the first page. Only what is closed by then is asked for
    and yielded, so every candle was over when its answer was made; a later call brings the rest. Without
    `end_ms` the back-fill ends there. Every page tells the time that it covers, so the next start is its
    `end_ms`; a caller may stop and go on from it.

    A page is never trusted to be full. The next one starts after the newest candle received; an empty one
    moves on by as many candles as were asked for, since an exchange that answers by time windows is silent
    over a gap. Where a page leaves out candles at its start, they are asked for again by themselves: some
    exchanges give the newest candles of a window, not the oldest. What the exchange leaves out within a page
    is a gap; `find_gaps` shows it.
    """
    length = timeframe_ms(timeframe)
    end = open_time_at(source.now_ms(), timeframe)
    if end_ms is not None:
        end = min(end, -(-end_ms // length) * length)
    start = -(-start_ms // length) * length
    while start < end:
        page = _earliest_page(source, symbol, timeframe, start, end)
        yield page
        start = page.end_ms


def _earliest_page(source: CandleSource, symbol: str, timeframe: str, start: int, end: int) -> CandlePage:
    """Return the page that begins at `start`."""
    length = timeframe_ms(timeframe)
    limit = min(source.page_limit, (end - start) // length)
    answer = source.fetch_candles(symbol, timeframe, start, limit)
    rows = _rows_between(answer.rows, start, end)
    while (hole := _hole_before(rows, start, length)) and hole < limit:
        limit = hole
        earlier = source.fetch_candles(symbol, timeframe, start, limit)
        earlier_rows = _rows_between(earlier.rows, start, start + hole * length)
        if not _open_times(earlier_rows):
            break
        answer, rows = earlier, earlier_rows
    times = _open_times(rows)
    covered = open_time_at(max(times), timeframe) + length if times else min(start + limit * length, end)
    checked = check_candles(rows, exchange=source.name, symbol=symbol, timeframe=timeframe, now_ms=end)
    return CandlePage(checked.candles, checked.refused, start, covered, answer.received_at_ms)


def _hole_before(rows: Sequence[Row], start: int, length: int) -> int:
    """Return how many candles are missing between `start` and the first row."""
    times = _open_times(rows)
    return (min(times) - start) // length if times else 0


def _open_times(rows: Sequence[Row]) -> list[int]:
    return [time for row in rows if (time := _open_time(row)) is not None]


def _open_time(row: Row) -> int | None:
    time = row[0] if len(row) else None
    return int(time) if isinstance(time, int | float) and time == time and abs(time) < 2**53 else None


def _rows_between(rows: Sequence[Row], start: int, end: int) -> list[Row]:
    """Return the rows that open in `[start, end)` and those whose open time cannot be read.

    The latter are refused later. What lies outside was not asked for: rows that overlap the page before, and
    the candle that is still open.
    """
    return [row for row in rows if (time := _open_time(row)) is None or start <= time < end]
