"""Candles of many markets as columns, and their binary form for COPY."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from alpharay.bus.messages import CandleMessage
from alpharay.market.candles import VALUE_COLUMNS, FloatArray, IntArray

COLUMNS = ("exchange", "symbol", "timeframe", "open_time", *VALUE_COLUMNS, "revision")

# PostgreSQL's binary COPY format: signature, flags, extension length; then rows; then a field count of -1.
# https://www.postgresql.org/docs/current/sql-copy.html
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"


class Market(NamedTuple):
    """What a candle series belongs to."""

    exchange: str
    symbol: str
    timeframe: str


@dataclass(frozen=True, slots=True)
class CandleRows:
    """Candles of `markets` as columns; `market[i]` is the place of row i's market in `markets`."""

    markets: tuple[Market, ...]
    market: IntArray
    open_time: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    revision: IntArray

    def __len__(self) -> int:
        return len(self.open_time)

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> CandleRows:
        """Return the rows chosen by an index or a mask."""
        return CandleRows(
            self.markets,
            self.market[rows],
            self.open_time[rows],
            self.open[rows],
            self.high[rows],
            self.low[rows],
            self.close[rows],
            self.volume[rows],
            self.revision[rows],
        )


def candle_rows(messages: Sequence[CandleMessage]) -> CandleRows:
    """Return the messages as columns, in their order."""
    rows = len(messages)
    places: dict[tuple[str, str, str], int] = {}
    market = np.fromiter(
        (
            places.setdefault((message.exchange, message.symbol, message.timeframe), len(places))
            for message in messages
        ),
        np.int64,
        rows,
    )

    def floats(name: str) -> FloatArray:
        return np.fromiter(map(attrgetter(name), messages), np.float64, rows)

    def integers(name: str) -> IntArray:
        return np.fromiter(map(attrgetter(name), messages), np.int64, rows)

    return CandleRows(
        tuple(Market(*market_fields) for market_fields in places),
        market,
        integers("open_time"),
        floats("open"),
        floats("high"),
        floats("low"),
        floats("close"),
        floats("volume"),
        integers("revision"),
    )


def newest_revisions(rows: CandleRows) -> CandleRows:
    """Return the newest revision of each identity (of equal ones the last), by market and open time."""
    order = np.lexsort((rows.revision, rows.open_time, rows.market))
    market, open_time = rows.market[order], rows.open_time[order]
    newest = np.ones(len(order), dtype=np.bool_)
    newest[:-1] = (market[1:] != market[:-1]) | (open_time[1:] != open_time[:-1])
    return rows.take(order[newest])


def encode_binary_copy(rows: CandleRows) -> bytes:
    """Return the rows, in the order of `COLUMNS`, as one binary COPY stream.

    A market's rows stay together.
    """
    parts = [_HEADER]
    for place, market in enumerate(rows.markets):
        chosen = np.flatnonzero(rows.market == place)
        if len(chosen):
            parts.append(_encode_market(rows.take(chosen), market))
    parts.append(_TRAILER)
    return b"".join(parts)


def _encode_market(rows: CandleRows, market: Market) -> bytes:
    # All rows of one market have the same layout, since only the text columns vary in length: a row is a
    # record of NumPy's, each field after its length, all big-endian.
    texts = [text.encode() for text in market]
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for name, text in zip(COLUMNS[:3], texts, strict=True):
        fields += [(f"{name}_bytes", ">i4"), (name, f"V{len(text)}")]
    for name in COLUMNS[3:]:
        fields += [(f"{name}_bytes", ">i4"), (name, ">i8" if name in ("open_time", "revision") else ">f8")]
    records = np.empty(len(rows), dtype=np.dtype(fields))
    records["fields"] = len(COLUMNS)
    for name, text in zip(COLUMNS[:3], texts, strict=True):
        records[f"{name}_bytes"] = len(text)
        records[name] = np.void(text)
    for name in COLUMNS[3:]:
        records[f"{name}_bytes"] = 8
        records[name] = getattr(rows, name)
    return records.tobytes()
