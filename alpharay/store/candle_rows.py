"""Candles of many markets as columns, and their binary form for COPY."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from alpharay.bus.messages import OPEN_TIME_RANGE, REVISION_RANGE, CandleMessage
from alpharay.market.candles import VALUE_COLUMNS, FloatArray, IntArray

COLUMNS = ("exchange", "symbol", "timeframe", "open_time", *VALUE_COLUMNS, "revision")

_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "version": pl.Int64,
    "exchange": pl.String,
    "symbol": pl.String,
    "timeframe": pl.String,
    "open_time": pl.Int64,
    **dict.fromkeys(VALUE_COLUMNS, pl.Float64),
    "revision": pl.Int64,
}

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

    def part(self, start: int, stop: int) -> CandleRows:
        """Return rows `start` to `stop` (exclusive) as views on the same memory."""
        return self.take(slice(start, stop))

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_] | slice) -> CandleRows:
        """Return the rows chosen by indexes, a mask or a slice."""
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
    frame = pl.DataFrame({name: [getattr(message, name) for message in messages] for name in _SCHEMA}, schema=_SCHEMA)
    return _rows_of_frame(frame)


def parse_candle_rows(values: Sequence[bytes], known_version: int) -> CandleRows | None:
    """Return candle messages in JSON as columns, in their order, or None when one of them may not be good.

    Polars parses a batch without the interpreter's lock and without an object a message: three times as fast
    as decoding messages. It cannot say which of them is wrong; decode them singly to learn that.
    """
    if not values:
        return None
    try:
        frame = pl.read_ndjson(b"\n".join(values), schema=_SCHEMA)
    except pl.exceptions.PolarsError:
        return None
    if frame.height != len(values) or sum(frame.null_count().row(0)):
        return None
    newest_version = frame["version"].max()
    if not isinstance(newest_version, int) or newest_version > known_version:
        return None
    if (
        not frame["open_time"].is_between(*OPEN_TIME_RANGE).all()
        or not frame["revision"].is_between(*REVISION_RANGE).all()
    ):
        return None
    return _rows_of_frame(frame)


def _rows_of_frame(frame: pl.DataFrame) -> CandleRows:
    markets = frame.select(Market._fields).unique(maintain_order=True).with_row_index("market")
    market = frame.select(Market._fields).join(markets, on=Market._fields, how="left", maintain_order="left")["market"]
    return CandleRows(
        tuple(Market(*row) for row in markets.select(Market._fields).rows()),
        market.cast(pl.Int64).to_numpy(),
        frame["open_time"].to_numpy(),
        frame["open"].to_numpy(),
        frame["high"].to_numpy(),
        frame["low"].to_numpy(),
        frame["close"].to_numpy(),
        frame["volume"].to_numpy(),
        frame["revision"].to_numpy(),
    )


def newest_revisions(rows: CandleRows) -> CandleRows:
    """Return the newest revision of each identity (of equal ones the last), by market and open time."""
    order = np.lexsort((rows.revision, rows.open_time, rows.market))
    market, open_time = rows.market[order], rows.open_time[order]
    newest = np.ones(len(order), dtype=np.bool_)
    newest[:-1] = (market[1:] != market[:-1]) | (open_time[1:] != open_time[:-1])
    return rows.take(order[newest])


def market_slices(rows: CandleRows) -> list[tuple[int, int, int]]:
    """Return (place of the market, first row, row after the last) of each run of rows of one market."""
    if not len(rows):
        return []
    starts = np.flatnonzero(np.diff(rows.market, prepend=-1))
    stops = np.append(starts[1:], len(rows))
    return list(zip(rows.market[starts].tolist(), starts.tolist(), stops.tolist(), strict=True))


def encode_binary_copy(rows: CandleRows) -> bytes:
    """Return the rows in the order of `COLUMNS` as one binary COPY stream; fastest when sorted by market."""
    parts = [_HEADER]
    for place, start, stop in market_slices(rows):
        parts.append(_encode_market(rows.part(start, stop), rows.markets[place]))
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
