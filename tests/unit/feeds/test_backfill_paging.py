"""Paging against exchanges of every habit: what comes out is what went in, whatever the pages look like."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpharay.feeds.backfill import CandleAnswer, CandlePage, backfill_pages
from alpharay.market.quality import Row

MINUTE = 60_000
MAX_REQUESTS = 2000


def candle(minute: int) -> list[float]:
    price = 100.0 + minute
    return [minute * MINUTE, price, price + 2, price - 1, price + 1, 1.0]


class FakeExchange:
    """Holds candles at the given minutes; `habit` chooses which of them it answers."""

    name = "fake"

    def __init__(
        self, minutes: Iterable[int], habit: str, *, page_limit: int, most: int | None = None, now_minute: int
    ) -> None:
        self.rows = [candle(minute) for minute in sorted(minutes)]
        self.page_limit = page_limit
        self.requests: list[tuple[int, int]] = []
        self._answer: Callable[[int, int], list[list[float]]] = getattr(self, habit)
        self._most = page_limit if most is None else most
        self._now_minute = now_minute

    def now_ms(self) -> int:
        return self._now_minute * MINUTE + 30_000

    def fetch_candles(self, symbol: str, timeframe: str, start_ms: int, limit: int) -> CandleAnswer:
        assert (symbol, timeframe) == ("BTC/USD", "1m")
        assert 1 <= limit <= self.page_limit
        assert start_ms < self._now_minute * MINUTE, "asked for a candle that cannot be closed"
        self.requests.append((start_ms // MINUTE, limit))
        assert len(self.requests) < MAX_REQUESTS, "paging does not end"
        return CandleAnswer(self._answer(start_ms, limit), received_at_ms=1_000_000 + len(self.requests))

    def first_from_start(self, start: int, limit: int) -> list[list[float]]:
        """As Binance: the first candles from the start on, jumping over any gap."""
        return [row for row in self.rows if row[0] >= start][: min(limit, self._most)]

    def of_a_window(self, start: int, limit: int) -> list[list[float]]:
        """As Coinbase: the candles of `limit` periods, however few."""
        return [row for row in self.rows if start <= row[0] < start + limit * MINUTE]

    def newest_of_a_window(self, start: int, limit: int) -> list[list[float]]:
        """As OKX: the window's newest candles, fewer than asked for."""
        return self.of_a_window(start, limit)[-min(limit, self._most) :]

    def with_overlap(self, start: int, limit: int) -> list[list[float]]:
        """The candle before the start comes along."""
        return self.first_from_start(start - MINUTE, min(limit + 1, self._most))

    def last_720(self, start: int, limit: int) -> list[list[float]]:
        """As Kraken: only ever the newest 720, whatever was asked for."""
        return [row for row in self.rows[-720:] if row[0] >= start][:limit]


def received(pages: Iterable[CandlePage]) -> list[int]:
    return [int(time) // MINUTE for page in pages for time in page.candles.open_time]


@settings(max_examples=150, deadline=None)
@given(
    missing=st.one_of(st.sets(st.integers(0, 120), max_size=12), st.sets(st.integers(0, 120), min_size=60)),
    habit=st.sampled_from(["first_from_start", "of_a_window", "newest_of_a_window", "with_overlap"]),
    page_limit=st.integers(2, 50),
    most=st.integers(2, 50),
    start=st.integers(0, 130),
    end=st.one_of(st.none(), st.integers(0, 130)),
    now_minute=st.integers(1, 125),
)
def test_pages_hold_every_closed_candle_of_the_range_exactly_once(
    missing, habit, page_limit, most, start, end, now_minute
):
    minutes = set(range(121)) - missing
    exchange = FakeExchange(minutes, habit, page_limit=page_limit, most=most, now_minute=now_minute)
    end_ms = None if end is None else end * MINUTE

    pages = list(backfill_pages(exchange, "BTC/USD", "1m", start * MINUTE, end_ms))

    stop = now_minute if end is None else min(end, now_minute)
    assert received(pages) == [minute for minute in sorted(minutes) if start <= minute < stop]
    assert all(page.refused == () for page in pages)
    # Pages lie side by side, from the start to the end.
    edges = [start * MINUTE, *(page.end_ms for page in pages)]
    assert [page.start_ms for page in pages] == edges[:-1]
    assert edges[-1] == max(start, stop) * MINUTE


@pytest.mark.parametrize("page_limit", [1, 300, 720, 1000])
def test_year_of_minutes_like_history_is_complete_with_any_page_limit(page_limit):
    minutes = [minute for minute in range(1500) if minute % 97 and not 400 <= minute < 800]
    exchange = FakeExchange(minutes, "of_a_window", page_limit=page_limit, now_minute=1500)
    assert received(backfill_pages(exchange, "BTC/USD", "1m", 0)) == minutes


def test_exchange_that_gives_the_newest_of_a_window_loses_nothing():
    exchange = FakeExchange(range(100), "newest_of_a_window", page_limit=30, most=7, now_minute=100)
    assert received(backfill_pages(exchange, "BTC/USD", "1m", 0)) == list(range(100))


def test_empty_window_in_the_middle_of_history_does_not_end_it():
    exchange = FakeExchange([0, 1, 950, 951], "of_a_window", page_limit=100, now_minute=1000)
    assert received(backfill_pages(exchange, "BTC/USD", "1m", 0)) == [0, 1, 950, 951]


def test_exchange_that_keeps_only_recent_candles_gives_those():
    exchange = FakeExchange(range(3000), "last_720", page_limit=720, now_minute=3000)
    assert received(backfill_pages(exchange, "BTC/USD", "1m", 0)) == list(range(2280, 3000))


def test_full_history_needs_no_more_requests_than_pages():
    exchange = FakeExchange(range(1000), "first_from_start", page_limit=100, now_minute=1000)
    list(backfill_pages(exchange, "BTC/USD", "1m", 0))
    assert exchange.requests == [(minute, 100) for minute in range(0, 1000, 100)]


def test_start_that_is_not_aligned_begins_at_the_next_candle():
    exchange = FakeExchange(range(10), "first_from_start", page_limit=100, now_minute=10)
    assert received(backfill_pages(exchange, "BTC/USD", "1m", 3 * MINUTE + 1, 6 * MINUTE)) == [4, 5]


@pytest.mark.parametrize(("start", "end"), [(10, None), (50, None), (5, 5), (6, 2)])
def test_empty_range_asks_for_no_candle(start, end):
    exchange = FakeExchange(range(100), "first_from_start", page_limit=100, now_minute=10)
    end_ms = None if end is None else end * MINUTE
    assert list(backfill_pages(exchange, "BTC/USD", "1m", start * MINUTE, end_ms)) == []
    assert exchange.requests == []


def test_each_page_carries_the_time_its_own_answer_was_received():
    exchange = FakeExchange(range(30), "first_from_start", page_limit=10, now_minute=30)
    pages = list(backfill_pages(exchange, "BTC/USD", "1m", 0))
    assert [page.received_at_ms for page in pages] == [1_000_001, 1_000_002, 1_000_003]


class SpoilingExchange(FakeExchange):
    """Answers `bad` rows besides its own, in the pages that hold their minute."""

    def __init__(self, minutes: Iterable[int], bad: list[Row], **options: int) -> None:
        super().__init__(minutes, "first_from_start", page_limit=10, now_minute=options["now_minute"])
        self._bad = bad

    def fetch_candles(self, symbol: str, timeframe: str, start_ms: int, limit: int) -> CandleAnswer:
        answer = super().fetch_candles(symbol, timeframe, start_ms, limit)
        return CandleAnswer([*answer.rows, *self._bad], answer.received_at_ms)


def test_far_future_row_neither_moves_paging_on_nor_is_yielded():
    exchange = SpoilingExchange(range(25), [candle(10_000_000)], now_minute=25)
    assert received(backfill_pages(exchange, "BTC/USD", "1m", 0)) == list(range(25))


def test_row_without_a_readable_time_is_refused_and_paging_goes_on():
    exchange = SpoilingExchange(range(25), [[None, 1.0, 1.0, 1.0, 1.0, 1.0], []], now_minute=25)
    pages = list(backfill_pages(exchange, "BTC/USD", "1m", 0))
    assert received(pages) == list(range(25))
    assert [refused.rule for refused in pages[0].refused] == ["not_a_number", "not_a_number"]


def test_page_of_nothing_but_bad_rows_still_moves_on():
    exchange = SpoilingExchange([], [[None, 1.0, 1.0, 1.0, 1.0, 1.0]], now_minute=25)
    pages = list(backfill_pages(exchange, "BTC/USD", "1m", 0))
    assert [len(page.refused) for page in pages] == [1, 1, 1]
    assert pages[-1].end_ms == 25 * MINUTE
