"""Place an order at the newest stored prices, unless one that its limits rest on is missing or too old."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.backtest.frictions import Frictions
from alpharay.portfolio.orders import UNDER_WAY
from alpharay.store.account_prices import DatedPrice, PriceSource, dated_prices, plain_prices
from alpharay.store.accounts import account_named
from alpharay.store.ledger import book_of
from alpharay.store.order_placement import OrderWish, Placement, place_order
from alpharay.store.orders import find_order
from alpharay.store.trading_halts import trading_terms


class PriceUnusableError(RuntimeError):
    """A price that an order would rest on is missing or too old; `symbol` says whose."""

    def __init__(self, symbol: str, message: str) -> None:
        super().__init__(message)
        self.symbol = symbol


@dataclass(frozen=True, slots=True)
class PricedPlacement:
    """What became of a wish, and the prices that it was assessed with; none when the order was made before."""

    placement: Placement
    prices: Mapping[str, DatedPrice]


def place_at_newest_prices(
    connection: Connection[TupleRow],
    wish: OrderWish,
    *,
    source: PriceSource,
    oldest_ms: int,
    now_ms: int,
    frictions: Frictions | None = None,
    dry_run: bool = True,
    correlation_id: str | None = None,
) -> PricedPlacement:
    """Place an order as `place_order` does, at prices of what is wanted, held and under way at most `oldest_ms` old.

    Raises PriceUnusableError, and what `place_order` raises.
    """
    prices: dict[str, DatedPrice] = {}
    if find_order(connection, wish.order_id) is None:
        # The locks of `place_order`, in its order: what is held and under way cannot change after its prices are read.
        trading_terms(connection, wish.account_id)
        account_named(connection, wish.account_id)
        connection.execute("SELECT 1 FROM ledger_balances WHERE account_id = %s FOR UPDATE", (wish.account_id,))
        symbols = _symbols(connection, wish)
        prices = dated_prices(connection, source, symbols)
        _check(prices, symbols, source, oldest_ms)
    placement = place_order(
        connection,
        wish,
        plain_prices(prices),
        now_ms=now_ms,
        frictions=frictions,
        dry_run=dry_run,
        correlation_id=correlation_id,
    )
    return PricedPlacement(placement, prices)


def _symbols(connection: Connection[TupleRow], wish: OrderWish) -> set[str]:
    rows = connection.execute(
        "SELECT DISTINCT symbol FROM orders WHERE account_id = %s AND status = ANY(%s)",
        (wish.account_id, list(UNDER_WAY)),
    ).fetchall()
    return {wish.symbol, *book_of(connection, wish.account_id).positions, *(row[0] for row in rows)}


def _check(prices: Mapping[str, DatedPrice], symbols: set[str], source: PriceSource, oldest_ms: int) -> None:
    market = f"at {source.exchange} {source.timeframe}"
    for symbol in sorted(symbols):
        dated = prices.get(symbol)
        if dated is None:
            raise PriceUnusableError(symbol, f"no candles of {symbol} are stored {market}")
        if dated.age_ms > oldest_ms:
            raise PriceUnusableError(
                symbol,
                f"the newest price of {symbol} {market} is {dated.age_ms / 1000:.0f} s old, "
                f"at most {oldest_ms / 1000:.0f} s serve",
            )
