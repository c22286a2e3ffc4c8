"""Which markets' candles are made from smaller ones: those that strategies are of and that no exchange delivers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.bus.messages import OPEN_TIME_RANGE
from alpharay.market.timeframe import timeframe_ms
from alpharay.store.candle_rows import Market
from alpharay.store.candle_tables import OF_MARKETS, market_columns
from alpharay.store.strategy_status import REJECTED, RETIRED

# Any constant; used for nothing else. Every batch of candles holds it to share, a new market for itself: whoever fills
# it afterwards sees all that was written by those who did not know of it.
_REGISTER_LOCK = 7_274_519_005

# Two statements in one message: the rows are read when the lock is held.
_REGISTERED = f"""
SELECT pg_advisory_xact_lock_shared({_REGISTER_LOCK});
SELECT exchange, symbol, timeframe, source_timeframe, since, filling_from, wanted FROM rolled_markets
"""

_LOCKED = f"""
SELECT exchange, symbol, timeframe, source_timeframe, since, filling_from, wanted FROM rolled_markets
WHERE {OF_MARKETS} ORDER BY exchange, symbol, timeframe
"""

_SAME = "({0}.exchange, {0}.symbol, {0}.timeframe) = ({1}.exchange, {1}.symbol, {1}.timeframe)"

_WANTED = f"""
SELECT DISTINCT s.exchange, s.symbol, s.timeframe FROM strategies s
WHERE s.status <> ALL(%s)
  AND NOT EXISTS (SELECT FROM ingested_markets m WHERE m.enabled AND {_SAME.format("m", "s")})
ORDER BY 1, 2, 3
"""

_KNOWN = "SELECT exchange, symbol, timeframe, source_timeframe, since, filling_from, wanted FROM rolled_markets"

_DELIVERED = f"""
SELECT exchange, symbol, timeframe FROM rolled_markets r
WHERE EXISTS (SELECT FROM ingested_markets m WHERE m.enabled AND {_SAME.format("m", "r")})
"""

# From one stored time frame to the next, by the primary key; and whether a search has resampled from it.
_SOURCES = f"""
WITH asked AS (SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]) AS a (exchange, symbol, timeframe))
SELECT a.exchange, a.symbol, a.timeframe, source.timeframe, EXISTS (
    SELECT FROM strategies s JOIN strategy_evidence e USING (strategy_id) JOIN discovery_runs r USING (run_id)
    WHERE {_SAME.format("s", "a")} AND s.status <> ALL(%s)
      AND r.request ->> 'resample_to' = a.timeframe AND r.request ->> 'timeframe' = source.timeframe
)
FROM asked a CROSS JOIN LATERAL (
    WITH RECURSIVE stored AS (
        (
            SELECT c.timeframe FROM candles c WHERE c.exchange = a.exchange AND c.symbol = a.symbol
            ORDER BY c.timeframe LIMIT 1
        )
        UNION ALL
        SELECT following.timeframe FROM stored CROSS JOIN LATERAL (
            SELECT c.timeframe FROM candles c
            WHERE c.exchange = a.exchange AND c.symbol = a.symbol AND c.timeframe > stored.timeframe
            ORDER BY c.timeframe LIMIT 1
        ) AS following
    )
    SELECT timeframe FROM stored
) AS source
WHERE NOT EXISTS (
    SELECT FROM (SELECT exchange, symbol, timeframe FROM rolled_markets UNION ALL SELECT * FROM asked) AS rolled
    WHERE (rolled.exchange, rolled.symbol, rolled.timeframe) = (a.exchange, a.symbol, source.timeframe)
)
"""

# What the exchange has delivered before stays as it is: rolling up begins after the newest such candle.
_REGISTER = """
INSERT INTO rolled_markets AS known (exchange, symbol, timeframe, source_timeframe, since, filling_from)
SELECT %(exchange)s, %(symbol)s, %(timeframe)s, %(source)s, own.newest + %(length)s,
    coalesce(own.newest + %(length)s, %(first)s)
FROM (
    SELECT max(open_time) AS newest FROM candles
    WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND timeframe = %(timeframe)s
) AS own
ON CONFLICT (exchange, symbol, timeframe) DO UPDATE SET
    wanted = true, wanted_at = now(), filling_from = coalesce(known.since, %(first)s)
WHERE NOT known.wanted
"""

# Nothing is made from what is made itself: a batch brings only what exchanges deliver.
_FROM_ROLLED = """
UPDATE rolled_markets SET source_timeframe = %(source)s, filling_from = coalesce(since, %(first)s)
WHERE exchange = %(exchange)s AND symbol = %(symbol)s AND source_timeframe = %(timeframe)s
"""


@dataclass(frozen=True, slots=True)
class RolledMarket:
    """A market whose candles are made from those of `source_timeframe`; times are UTC ms.

    Candles that open before `since` are the exchange's own. The first filling goes on from `filling_from`; what opens
    before is kept in step. None: no own ones, and all filled.
    """

    market: Market
    source_timeframe: str
    since: int | None = None
    filling_from: int | None = None
    wanted: bool = True

    @property
    def source(self) -> Market:
        """The market of the smaller candles."""
        return self.market._replace(timeframe=self.source_timeframe)

    @property
    def length(self) -> int:
        """How long a candle lasts, ms."""
        return timeframe_ms(self.market.timeframe)


def follow_strategies(connection: Connection[TupleRow]) -> list[Market]:
    """Begin to roll up what strategies have come to need, end what nobody does; return what is to be filled.

    A market that is ingested at its own length is not rolled up, nor one of which no smaller candles are stored. Costs
    one look at the strategies while nothing changes.
    """
    ended = [RETIRED, REJECTED]
    wanted = {Market(*row) for row in connection.execute(_WANTED, (ended,)).fetchall()}
    delivered = {Market(*row) for row in connection.execute(_DELIVERED).fetchall()}
    known = _rolled(connection.execute(_KNOWN).fetchall())
    needless = {one.market for one in known if one.wanted} - wanted - delivered
    sources = {one.market: one.source_timeframe for one in known if one.market in wanted and not one.wanted}
    if new := sorted(wanted - {one.market for one in known}):
        rows = connection.execute(_SOURCES, (*market_columns(new), ended)).fetchall()
        sources |= _chosen((Market(*row[:3]), row[3], row[4]) for row in rows)
    if delivered or needless or sources:
        # Before any row is locked: a batch that holds this lock may wait for one.
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_REGISTER_LOCK,))
        give_up(connection, sorted(delivered))
        connection.execute(
            f"UPDATE rolled_markets SET wanted = false WHERE {OF_MARKETS}", market_columns(sorted(needless))
        )
        for market, source in sorted(sources.items()):
            values = {"source": source, "length": timeframe_ms(market.timeframe), "first": OPEN_TIME_RANGE[0]}
            connection.execute(_REGISTER, {**market._asdict(), **values})
            connection.execute(_FROM_ROLLED, {**market._asdict(), **values})
        known = _rolled(connection.execute(_KNOWN).fetchall())
    return sorted(one.market for one in known if one.market in wanted and one.filling_from is not None)


def registered_markets(connection: Connection[TupleRow]) -> list[RolledMarket]:
    """Return what is or was rolled up; whoever comes to be until the transaction ends waits for it."""
    cursor = connection.execute(_REGISTERED)
    cursor.nextset()
    return _rolled(cursor.fetchall())


def locked_markets(connection: Connection[TupleRow], markets: Iterable[Market]) -> list[RolledMarket]:
    """Return those of the markets that are rolled up, in order; nobody else writes them until the transaction ends."""
    chosen = sorted(markets)
    # In the same order by everybody: they wait, they do not deadlock.
    keys = sorted(_lock_key(market) for market in chosen)
    connection.execute("SELECT count(pg_advisory_xact_lock(key)) FROM unnest(%s::bigint[]) AS key", (keys,))
    return _rolled(connection.execute(_LOCKED, market_columns(chosen)).fetchall())


def give_up(connection: Connection[TupleRow], markets: Sequence[Market]) -> None:
    """Roll these markets up no more: what is stored of them is the exchange's own from now on."""
    connection.execute(f"DELETE FROM rolled_markets WHERE {OF_MARKETS}", market_columns(markets))


def note_filled(connection: Connection[TupleRow], market: Market, until_ms: int | None) -> None:
    """Store that the first filling goes on from a time, or that it is done."""
    connection.execute(
        "UPDATE rolled_markets SET filling_from = %s WHERE exchange = %s AND symbol = %s AND timeframe = %s",
        (until_ms, *market),
    )


def _rolled(rows: Iterable[TupleRow]) -> list[RolledMarket]:
    return [RolledMarket(Market(*row[:3]), *row[3:]) for row in rows]


def _chosen(found: Iterable[tuple[Market, str, bool]]) -> dict[Market, str]:
    """Return the source of each market: one that a search has resampled from, else any; of several the finest."""
    best: dict[Market, tuple[bool, int, str]] = {}
    for market, source, searched in found:
        lengths = _lengths(market.timeframe, source)
        if lengths is None or lengths[0] <= lengths[1] or lengths[0] % lengths[1]:
            continue
        rank = (not searched, lengths[1], source)
        best[market] = min(best.get(market, rank), rank)
    return {market: rank[-1] for market, rank in best.items()}


def _lengths(*timeframes: str) -> tuple[int, ...] | None:
    try:
        return tuple(map(timeframe_ms, timeframes))
    except ValueError:
        # A strategy's message may carry any text.
        return None


def _lock_key(market: Market) -> int:
    digest = hashlib.blake2b(" ".join(("rolled", *market)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
