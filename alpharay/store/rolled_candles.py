"""Larger candles made from stored smaller ones, in the transaction that writes these: as `resample` makes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from alpharay.market.candles import VALUE_COLUMNS, Candles
from alpharay.market.resampling import resample
from alpharay.market.roll_up import StoredEnds, TimeRange, changed_ranges, joined_ends
from alpharay.market.timeframe import DAY_MS, timeframe_ms
from alpharay.store.binary_copy import read_numbers
from alpharay.store.candle_partitions import ensure_partitions
from alpharay.store.candle_rows import CandleRows, Market, market_slices, newest_revisions
from alpharay.store.candle_tables import market_columns
from alpharay.store.candle_upsert import candle_batch, write_candles
from alpharay.store.kept_candles import KeptCandles
from alpharay.store.rolled_markets import RolledMarket, give_up, locked_markets, registered_markets

NumberArray: TypeAlias = npt.NDArray[np.generic]

_READ_COLUMNS = {"place": "i8", "open_time": "i8", **dict.fromkeys(VALUE_COLUMNS, "f8"), "revision": "i8"}

# A look at each partition's index a market, at most.
_ENDS = """
SELECT asked.place, oldest.open_time, newest.open_time
FROM unnest(%s::text[], %s::text[], %s::text[]) WITH ORDINALITY AS asked (exchange, symbol, timeframe, place)
CROSS JOIN LATERAL (
    SELECT open_time FROM candles c
    WHERE (c.exchange, c.symbol, c.timeframe) = (asked.exchange, asked.symbol, asked.timeframe)
    ORDER BY open_time LIMIT 1
) AS oldest
CROSS JOIN LATERAL (
    SELECT open_time FROM candles c
    WHERE (c.exchange, c.symbol, c.timeframe) = (asked.exchange, asked.symbol, asked.timeframe)
    ORDER BY open_time DESC LIMIT 1
) AS newest
"""

# OFFSET 0 keeps the planner from anything but a look at the index for each range; the outer bounds prune partitions.
_RANGES = """
SELECT asked.place, found.open_time, found.open, found.high, found.low, found.close, found.volume, found.revision
FROM unnest({exchange}::text[], {symbol}::text[], {timeframe}::text[], {starts}::bigint[], {ends}::bigint[])
    WITH ORDINALITY AS asked (exchange, symbol, timeframe, first, until, place)
CROSS JOIN LATERAL (
    SELECT * FROM candles c
    WHERE c.exchange = asked.exchange AND c.symbol = asked.symbol AND c.timeframe = asked.timeframe
      AND c.open_time >= asked.first AND c.open_time < asked.until
      AND c.open_time >= {start} AND c.open_time < {end}
    OFFSET 0
) AS found
ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Rolling:
    """A market that a batch touches, and the ends of its smaller candles before the batch."""

    rolled: RolledMarket
    before: StoredEnds | None


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole candles of a market to be made anew, and the time of which the smaller ones are known."""

    rolled: RolledMarket
    range: TimeRange
    known: TimeRange


def begin_rolling(connection: Connection[TupleRow], rows: CandleRows) -> list[Rolling]:
    """Return what is made from the candles that are about to be written, and lock it until the transaction ends.

    A market of which the batch brings candles itself is rolled up no more: its exchange delivers them.
    """
    brought = set(rows.markets)
    registered = registered_markets(connection)
    touched = [one.market for one in registered if one.market in brought or (one.wanted and one.source in brought)]
    if not touched:
        return []
    locked = locked_markets(connection, touched)
    if delivered := [one.market for one in locked if one.market in brought]:
        give_up(connection, delivered)
    rolled = [one for one in locked if one.wanted and one.market not in delivered]
    ends = stored_ends(connection, {one.source for one in rolled})
    return [Rolling(one, ends.get(one.source)) for one in rolled]


def roll_batch(connection: Connection[TupleRow], rolling: Sequence[Rolling], rows: CandleRows) -> None:
    """Make the larger candles anew that the written rows may have changed."""
    if not rolling:
        return
    kept = kept_candles(connection, {one.rolled.market.exchange for one in rolling})
    times = {rows.markets[place]: rows.open_time[start:stop] for place, start, stop in market_slices(rows)}
    pieces = []
    for one in rolling:
        open_times = times[one.rolled.source]
        known = known_time(one.rolled, joined_ends(one.before, open_times), kept)
        found = changed_ranges(open_times, one.rolled.market.timeframe, before=one.before, known=known)
        pieces += [Piece(one.rolled, part, known) for part in found]
    roll(connection, pieces)


def known_time(rolled: RolledMarket, ends: StoredEnds, kept: Sequence[KeptCandles]) -> TimeRange:
    """Return the time in which a market's candles are made: that of its smaller ones, as `resample` has it.

    It leaves out what retention has ended, what is the exchange's own, and what is yet to be filled.
    """
    ended = [
        one.kept_from
        for one in kept
        for market in (rolled.market, rolled.source)
        if one.kept_from is not None and one.ends(market, one.kept_from)
    ]
    start = max([ends.oldest, *ended, *([] if rolled.since is None else [rolled.since])])
    end = ends.newest + timeframe_ms(rolled.source_timeframe)
    return TimeRange(start, end if rolled.filling_from is None else min(end, rolled.filling_from))


def roll(connection: Connection[TupleRow], pieces: Sequence[Piece]) -> int:
    """Make the pieces' candles from what is stored, and write those that are new or have other values; return how many.

    The market must be locked (`locked_markets`).
    """
    if not pieces:
        return 0
    ranges = [piece.range for piece in pieces]
    smaller = _read_ranges(connection, [piece.rolled.source for piece in pieces], ranges)
    stored = _read_ranges(connection, [piece.rolled.market for piece in pieces], ranges)
    markets = tuple(sorted({piece.rolled.market for piece in pieces}))
    parts = []
    for piece, source, before in zip(pieces, smaller, stored, strict=True):
        changed = _changed(_resampled(piece, source, markets.index(piece.rolled.market)), before)
        if len(changed):
            parts.append(changed)
    if not parts:
        return 0
    rows = _together(parts, markets)
    batch = candle_batch(rows)
    if any(piece.rolled.length > DAY_MS for piece in pieces):
        # A month is whole days: only a longer candle can open in one of which nothing else is stored.
        ensure_partitions(connection, batch.months)
    write_candles(connection, batch)
    return len(rows)


def stored_ends(connection: Connection[TupleRow], markets: Collection[Market]) -> dict[Market, StoredEnds]:
    """Return the ends of each market that has candles."""
    asked = sorted(markets)
    rows = connection.execute(_ENDS, market_columns(asked)).fetchall() if asked else []
    return {asked[row[0] - 1]: StoredEnds(int(row[1]), int(row[2])) for row in rows}


def kept_candles(connection: Connection[TupleRow], exchanges: Collection[str]) -> list[KeptCandles]:
    """Return what retention keeps of exchanges; it decides nothing else until the transaction ends."""
    rows = connection.execute(
        "SELECT exchange, kept_from, shorter_than FROM candle_retention WHERE exchange = ANY(%s) "
        "ORDER BY exchange FOR SHARE",
        (sorted(exchanges),),
    ).fetchall()
    return [KeptCandles(*row) for row in rows]


def _read_ranges(
    connection: Connection[TupleRow], markets: Sequence[Market], ranges: Sequence[TimeRange]
) -> list[Mapping[str, NumberArray]]:
    """Return the stored candles of each market in its range, as columns."""
    columns = dict(zip(("exchange", "symbol", "timeframe"), market_columns(markets), strict=True))
    query = sql.SQL(_RANGES).format(
        **{name: sql.Literal(values) for name, values in columns.items()},
        starts=sql.Literal([one.start_ms for one in ranges]),
        ends=sql.Literal([one.end_ms for one in ranges]),
        start=sql.Literal(min(one.start_ms for one in ranges)),
        end=sql.Literal(max(one.end_ms for one in ranges)),
    )
    read = read_numbers(connection, query, _READ_COLUMNS)
    bounds = np.searchsorted(read.pop("place"), np.arange(1, len(markets) + 2))
    return [{name: values[start:stop] for name, values in read.items()} for start, stop in pairwise(bounds)]


def _resampled(piece: Piece, source: Mapping[str, NumberArray], place: int) -> CandleRows:
    """Return a piece's candles, each with the newest revision of those that it is made of."""
    values = {name: source[name] for name in ("open_time", *VALUE_COLUMNS)}
    smaller = Candles(*piece.rolled.source, **values)  # type: ignore[arg-type] # as _READ_COLUMNS says
    larger = resample(
        smaller,
        piece.rolled.market.timeframe,
        known_from_ms=piece.known.start_ms,
        known_until_ms=piece.known.end_ms,
    )
    starts = np.searchsorted(smaller.open_time, larger.open_time)
    stop = np.searchsorted(smaller.open_time, larger.open_time[-1] + piece.rolled.length) if len(larger) else 0
    return CandleRows(
        markets=(piece.rolled.market,),
        market=np.full(len(larger), place, np.int64),
        open_time=larger.open_time,
        **{name: getattr(larger, name) for name in VALUE_COLUMNS},
        revision=np.maximum.reduceat(source["revision"][:stop], starts) if len(larger) else larger.open_time,
    )


def _changed(made: CandleRows, stored: Mapping[str, NumberArray]) -> CandleRows:
    """Return the candles that are not stored or have other values, those with a revision above the stored one's."""
    at = np.searchsorted(stored["open_time"], made.open_time)
    found = np.isin(made.open_time, stored["open_time"], assume_unique=True)
    differs = np.zeros(len(made), dtype=np.bool_)
    for name in VALUE_COLUMNS:
        differs[found] |= getattr(made, name)[found] != stored[name][at[found]]
    revision = made.revision.copy()
    revision[found] = np.maximum(revision[found], stored["revision"][at[found]] + 1)
    return replace(made, revision=revision).take(differs | ~found)


def _together(parts: Sequence[CandleRows], markets: tuple[Market, ...]) -> CandleRows:
    columns = ("market", "open_time", *VALUE_COLUMNS, "revision")
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in columns}
    return newest_revisions(CandleRows(markets, **joined))
