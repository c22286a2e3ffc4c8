"""Candles of one market as a structure of arrays, oldest first."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from alpharay.market.timeframe import timeframe_ms

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PRICE_COLUMNS = ("open", "high", "low", "close")
VALUE_COLUMNS = (*PRICE_COLUMNS, "volume")


@dataclass(frozen=True, slots=True, repr=False)
class Candles:
    """Closed candles of one market: an array a column, so that Ray's object store shares them without a copy.

    `open_time` is UTC milliseconds, strictly increasing; prices are quote currency, volume is base currency.
    A period without a trade has no row unless a gap policy filled it. The arrays are read-only views: here as in the
    object store, so that compiled code meets one kind of array everywhere.
    """

    exchange: str
    symbol: str
    timeframe: str
    open_time: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray

    def __post_init__(self) -> None:
        timeframe_ms(self.timeframe)
        rows = len(self.open_time)
        for name in VALUE_COLUMNS:
            if len(getattr(self, name)) != rows:
                raise ValueError(f"column {name} has {len(getattr(self, name))} rows, open_time has {rows}")
        for name in ("open_time", *VALUE_COLUMNS):
            column = getattr(self, name).view()
            column.flags.writeable = False
            object.__setattr__(self, name, column)
        if rows > 1 and not bool(np.all(self.open_time[1:] > self.open_time[:-1])):
            raise ValueError("open_time must be strictly increasing")

    def __len__(self) -> int:
        return len(self.open_time)

    def __repr__(self) -> str:
        span = f", open times {self.open_time[0]} to {self.open_time[-1]}" if len(self) else ""
        return f"Candles({self.exchange} {self.symbol} {self.timeframe}, {len(self)} rows{span})"

    def slice(self, start: int, stop: int) -> Candles:
        """Return rows `start` to `stop` (exclusive) as views on the same memory."""
        rows = slice(start, stop)
        return replace(
            self,
            open_time=self.open_time[rows],
            **{name: getattr(self, name)[rows] for name in VALUE_COLUMNS},
        )

    def tail(self, rows: int) -> Candles:
        """Return the newest `rows` candles as views on the same memory."""
        return self.slice(max(len(self) - rows, 0), len(self))

    def between(self, start_ms: int, end_ms: int) -> Candles:
        """Return the candles that open in `[start_ms, end_ms)` as views on the same memory."""
        start, stop = np.searchsorted(self.open_time, [start_ms, end_ms])
        return self.slice(int(start), int(stop))

    def to_frame(self) -> pl.DataFrame:
        """Return the candles as a frame with the columns `open_time` (ms), open, high, low, close, volume."""
        return pl.DataFrame({"open_time": self.open_time, **{name: getattr(self, name) for name in VALUE_COLUMNS}})


def candles_from_frame(frame: pl.DataFrame, exchange: str, symbol: str, timeframe: str) -> Candles:
    """Return the candles in a frame with the columns of `Candles.to_frame`, its rows in time order."""
    missing = [name for name in ("open_time", *VALUE_COLUMNS) if name not in frame.columns]
    if missing:
        raise ValueError(f"candle frame lacks the columns {', '.join(missing)}; it has {', '.join(frame.columns)}")
    values = {
        name: np.ascontiguousarray(frame[name].cast(pl.Float64).to_numpy(), dtype=np.float64) for name in VALUE_COLUMNS
    }
    open_time = np.ascontiguousarray(frame["open_time"].cast(pl.Int64).to_numpy(), dtype=np.int64)
    return Candles(exchange, symbol, timeframe, open_time, **values)
