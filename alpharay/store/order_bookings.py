"""How an order was booked, or would be: its fills, their entries, and what the account has after them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.market.candles import Candles
from alpharay.market.timeframe import timeframe_ms
from alpharay.portfolio.ledger import ZERO, Book, Entry, Fill, Posting, booked
from alpharay.portfolio.orders import Order
from alpharay.portfolio.paper_fills import PaperTerms, paper_fills
from alpharay.store.account_prices import PriceSource
from alpharay.store.candle_rows import Market
from alpharay.store.candles import load_newest_candles
from alpharay.store.ledger import book_of
from alpharay.store.orders import fills_of


@dataclass(frozen=True, slots=True)
class OrderBooking:
    """An order's fills, each with its entry of the ledger, and the book after the newest entry."""

    fills: tuple[Fill, ...]
    entries: tuple[Entry, ...]
    book: Book


def order_booking(connection: Connection[TupleRow], order: Order) -> OrderBooking:
    """Return how an order is booked by now: no fills, no entries."""
    fills = tuple(fills_of(connection, order.order_id))
    rows = connection.execute(
        "SELECT entry_id, time_ms, account, amount, symbol, quantity FROM ledger_entries "
        "JOIN ledger_postings USING (account_id, number) WHERE account_id = %s AND entry_id = ANY(%s) "
        "ORDER BY number, line",
        (order.account_id, [fill.fill_id for fill in fills]),
    ).fetchall()
    postings: dict[tuple[str, int], list[Posting]] = {}
    for entry_id, time_ms, account, amount, symbol, quantity in rows:
        postings.setdefault((entry_id, time_ms), []).append(Posting(account, amount, symbol, quantity))
    entries = tuple(Entry(entry_id, time_ms, tuple(lines)) for (entry_id, time_ms), lines in postings.items())
    return OrderBooking(fills, entries, book_of(connection, order.account_id))


def expected_booking(
    connection: Connection[TupleRow], order: Order, source: PriceSource, terms: PaperTerms
) -> OrderBooking:
    """Return how an order would be booked if the next candle opened at the newest close, with that candle's volume.

    Nothing is stored. A limit that such a candle does not reach, or one without volume, leaves no fill.
    """
    book = book_of(connection, order.account_id)
    newest = load_newest_candles(connection, Market(source.exchange, order.symbol, source.timeframe), 1)
    if len(newest) == 0:
        return OrderBooking((), (), book)
    close = newest.close
    times = newest.open_time + np.int64(timeframe_ms(source.timeframe))
    like = Candles(newest.exchange, newest.symbol, newest.timeframe, times, close, close, close, close, newest.volume)
    fills = tuple(replace(fill, fill_id=f"expected:{fill.fill_id}") for fill in paper_fills(order, ZERO, like, terms))
    entries: list[Entry] = []
    for fill in fills:
        entry, book = booked(book, fill)
        entries.append(entry)
    return OrderBooking(fills, tuple(entries), book)


def filled_quantity(booking: OrderBooking) -> Decimal:
    """Return what the fills come to."""
    return sum((fill.quantity for fill in booking.fills), ZERO)
