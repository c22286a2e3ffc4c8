"""The returns of what an account holds, and of what it may trade, over the candles that all of them have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.market.candles import FloatArray
from alpharay.risk.calibration import price_history
from alpharay.risk.market_view import common_returns
from alpharay.store.account_prices import AccountStanding, PriceSource, account_standing
from alpharay.store.candle_rows import Market
from alpharay.store.candles import load_newest_candles

MOST_SYMBOLS = 100


class RiskUnknownError(RuntimeError):
    """What is held, or asked for, cannot be valued or has too few candles; the text says which."""


@dataclass(frozen=True, slots=True)
class AccountReturns:
    """An account's weights (signed shares of its equity) and the returns of their symbols.

    Parameters
    ----------
    standing : AccountStanding
    equity : float
        Above 0.
    weights : dict
        By symbol, of what is held.
    symbols : tuple of str
        The columns of `returns`: what is held, and what was asked for beside it.
    returns : FloatArray
        Simple returns of the common candles, (periods, symbols); no rows where there are no symbols.
    """

    standing: AccountStanding
    equity: float
    weights: dict[str, float]
    symbols: tuple[str, ...]
    returns: FloatArray | None


def account_returns(
    connection: Connection[TupleRow],
    account_id: str,
    *,
    source: PriceSource,
    now_ms: int,
    observations: int,
    beside: Iterable[str] = (),
) -> AccountReturns:
    """Return an account's weights and the newest `observations` returns that its symbols, and those `beside`, share.

    `returns` is None when there is no symbol at all. Raises RiskUnknownError where a price is missing, the equity is
    not above 0, or fewer than three candles are common; UnknownAccountError.
    """
    standing = account_standing(connection, account_id, source=source, now_ms=now_ms)
    positions = standing.book.positions
    if standing.equity is None:
        missing = ", ".join(sorted(positions.keys() - standing.prices.keys()))
        raise RiskUnknownError(f"no candles of {missing} are stored at {source.exchange} {source.timeframe}")
    equity = float(standing.equity.equity)
    if equity <= 0.0:
        raise RiskUnknownError(f"equity must be above 0 to have weights, was {equity:,.2f}")
    symbols = tuple(sorted({*positions, *beside}))
    if len(symbols) > MOST_SYMBOLS:
        raise RiskUnknownError(f"at most {MOST_SYMBOLS} symbols can be held against each other, were {len(symbols)}")
    weights = {
        symbol: float(held.quantity * standing.prices[symbol].price) / equity for symbol, held in positions.items()
    }
    if not symbols:
        return AccountReturns(standing, equity, weights, (), None)
    try:
        histories = [
            price_history(
                load_newest_candles(connection, Market(source.exchange, symbol, source.timeframe), observations + 1)
            )
            for symbol in symbols
        ]
        table = common_returns(histories, observations)
    except ValueError as error:
        raise RiskUnknownError(f"{', '.join(symbols[:5])} at {source.exchange} {source.timeframe}: {error}") from None
    return AccountReturns(standing, equity, weights, symbols, table)
