"""Which stored market a symbol means."""

from __future__ import annotations

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.store.candle_rows import Market
from alpharay.store.candles import newest_open_time
from alpharay.store.ingested_markets import wanted_markets


class MarketMissingError(LookupError):
    """No candles are stored for a symbol, or those of several exchanges; the text says what to do."""


def find_market(connection: Connection[TupleRow], symbol: str, timeframe: str, exchange: str | None = None) -> Market:
    """Return the market of `symbol` that has candles.

    Without an exchange it must be the only one among the ingested markets. Raises MarketMissingError.
    """
    if exchange is not None:
        candidates = [Market(exchange, symbol, timeframe)]
    else:
        ingested = [item.market for item in wanted_markets(connection)]
        candidates = [market for market in ingested if (market.symbol, market.timeframe) == (symbol, timeframe)]
    found = [market for market in candidates if newest_open_time(connection, market) is not None]
    if len(found) > 1:
        raise MarketMissingError(
            f"{symbol} {timeframe} is stored of {', '.join(market.exchange for market in found)}: "
            "name one with --exchange"
        )
    if not found:
        known = sorted({f"{item.market.symbol} {item.market.timeframe}" for item in wanted_markets(connection)})
        raise MarketMissingError(
            f"no candles of {symbol} {timeframe} are stored{f' of {exchange}' if exchange else ''}; "
            f"ingested are {', '.join(known) or 'none'}: run `python -m ray_jobs.ingest` first"
        )
    return found[0]
