"""What an account's symbols cost now, how old that is, and what the account is worth by it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.market.timeframe import timeframe_ms
from alpharay.portfolio.ledger import Book, valued
from alpharay.store.account_equity import EquityMark, equity_now
from alpharay.store.candles import newest_candle_closes
from alpharay.store.ledger import book_of


@dataclass(frozen=True, slots=True)
class PriceSource:
    """Whose closes are the prices: the candles of one exchange and time frame, and that exchange's time (UTC ms)."""

    exchange: str
    timeframe: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class DatedPrice:
    """A close, when its candle closed (UTC ms), and how long ago that was."""

    price: Decimal
    closed_ms: int
    age_ms: int


@dataclass(frozen=True, slots=True)
class AccountStanding:
    """An account's book at the newest prices.

    Parameters
    ----------
    book : Book
    prices : Mapping
        By symbol; one without candles is missing.
    equity : EquityMark or None
        None while a symbol that is held has no price.
    """

    book: Book
    prices: Mapping[str, DatedPrice]
    equity: EquityMark | None

    @property
    def unrealised(self) -> Mapping[str, Decimal]:
        """Value less cost of each position that has a price."""
        held = {symbol: position for symbol, position in self.book.positions.items() if symbol in self.prices}
        priced = Book(currency=self.book.currency, positions=held)
        return valued(priced, plain_prices(self.prices)).unrealised


def dated_prices(
    connection: Connection[TupleRow], source: PriceSource, symbols: Collection[str]
) -> dict[str, DatedPrice]:
    """Return the newest price of each symbol; one without candles is missing. A time ahead of the clock is now."""
    found = newest_candle_closes(connection, source.exchange, source.timeframe, symbols)
    length = timeframe_ms(source.timeframe)
    return {
        symbol: DatedPrice(
            Decimal(repr(newest.close)), newest.open_time + length, max(source.now_ms - newest.open_time - length, 0)
        )
        for symbol, newest in found.items()
    }


def plain_prices(prices: Mapping[str, DatedPrice]) -> dict[str, Decimal]:
    """Return the prices without their times."""
    return {symbol: dated.price for symbol, dated in prices.items()}


def account_standing(
    connection: Connection[TupleRow], account_id: str, *, source: PriceSource, now_ms: int
) -> AccountStanding:
    """Return how an account stands at the newest prices; writes nothing. Raises UnknownAccountError."""
    book = book_of(connection, account_id)
    prices = dated_prices(connection, source, book.positions)
    if prices.keys() < book.positions.keys():
        return AccountStanding(book, prices, None)
    return AccountStanding(book, prices, equity_now(connection, account_id, book, plain_prices(prices), time_ms=now_ms))
