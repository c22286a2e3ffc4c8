"""From when on candles are kept: what retention has decided for each exchange, and who must know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.market.timeframe import timeframe_ms
from alpharay.store.candle_rows import Market

_STORE = """
INSERT INTO candle_retention AS known (exchange, kept_from, shorter_than)
SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bigint[])
ON CONFLICT (exchange) DO UPDATE SET kept_from = excluded.kept_from, shorter_than = excluded.shorter_than
WHERE (known.kept_from, known.shorter_than) IS DISTINCT FROM (excluded.kept_from, excluded.shorter_than)
"""

_MOVE_STARTS = """
UPDATE ingested_markets m SET start_time = moved.start_time
FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) AS moved (exchange, symbol, timeframe, start_time)
WHERE (m.exchange, m.symbol, m.timeframe) = (moved.exchange, moved.symbol, moved.timeframe)
  AND m.start_time < moved.start_time
"""


class CandlesEndedError(LookupError):
    """A window begins before the candles that are kept; the text says from when on there are some."""


@dataclass(frozen=True, slots=True)
class KeptCandles:
    """What is kept of an exchange: of candles shorter than `shorter_than` (ms) those from `kept_from` (UTC ms) on.

    None keeps all.
    """

    exchange: str
    kept_from: int | None
    shorter_than: int

    def ends(self, market: Market, end_ms: int) -> bool:
        """Tell whether a market's candles that open before `end_ms` are ended, all of them."""
        return (
            self.kept_from is not None
            and market.exchange == self.exchange
            and end_ms <= self.kept_from
            and timeframe_ms(market.timeframe) < self.shorter_than
        )


def kept_from(connection: Connection[TupleRow], market: Market, *, lock: bool = False) -> int | None:
    """Return from when on (UTC ms) a market's candles are kept; None where all are.

    `lock` keeps the answer true until the transaction ends.
    """
    row = connection.execute(
        f"SELECT kept_from, shorter_than FROM candle_retention WHERE exchange = %s {'FOR SHARE' if lock else ''}",
        (market.exchange,),
    ).fetchone()
    if row is None or row[0] is None or timeframe_ms(market.timeframe) >= row[1]:
        return None
    return int(row[0])


def require_kept(connection: Connection[TupleRow], market: Market, start_ms: int) -> None:
    """Raise CandlesEndedError when a window of a market begins before what is kept of it."""
    kept = kept_from(connection, market)
    if kept is not None and start_ms < kept:
        raise CandlesEndedError(
            f"candles of {' '.join(market)} are kept from {_day(kept)} on (ray_jobs.retain), the window begins on "
            f"{_day(start_ms)}: ask for one that begins later, or keep more and ingest them again"
        )


def decide(connection: Connection[TupleRow], kept: Sequence[KeptCandles]) -> int:
    """Store what is kept from now on, and let ingestion begin there; return how many markets' starts have moved.

    Nothing may be ended before this is committed: repair would fetch it again.
    """
    connection.execute(
        _STORE, ([one.exchange for one in kept], [one.kept_from for one in kept], [one.shorter_than for one in kept])
    )
    starts = {one.exchange: one.kept_from for one in kept if one.kept_from is not None}
    lengths = {one.exchange: one.shorter_than for one in kept}
    rows = connection.execute(
        "SELECT exchange, symbol, timeframe FROM ingested_markets WHERE exchange = ANY(%s)", (list(starts),)
    ).fetchall()
    markets = [Market(*row) for row in rows if timeframe_ms(row[2]) < lengths[row[0]]]
    moved = connection.execute(
        _MOVE_STARTS,
        (
            [market.exchange for market in markets],
            [market.symbol for market in markets],
            [market.timeframe for market in markets],
            [starts[market.exchange] for market in markets],
        ),
    )
    return moved.rowcount


def note_end(connection: Connection[TupleRow]) -> None:
    """Store that a run of retention went through to its end."""
    connection.execute("UPDATE candle_retention SET finished_at = now()")


def _day(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d}"
