"""Candle files: parquet and CSV."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl

from alpharay.market.candles import VALUE_COLUMNS, Candles
from alpharay.market.quality import check_candles
from alpharay.market.symbol import resolve_symbol
from alpharay.market.timeframe import timeframe_ms

TIME_COLUMNS = ("open_time_ms", "open_time", "timestamp", "ts", "date")
FILE_EXCHANGE = "file"

# Capitals only, so that `my_data.csv` is not taken for the market MY/DATA.
_NAME = re.compile(r"(?P<base>[A-Z0-9]{2,10})[-_](?P<quote>[A-Z]{3,5})(?:[-_](?P<timeframe>[1-9][0-9]{0,3}[mhd]))?")
# Epoch numbers are told apart by size: each unit covers the years 1973 to 5138 without overlap.
_EPOCH_UNITS = ((1e11, 1_000, 1), (1e14, 1, 1), (1e17, 1, 1_000), (float("inf"), 1, 1_000_000))


class CandleFileError(ValueError):
    """A candle file cannot be used; the message names the file, the column and the value."""


def read_candles(
    path: Path | str,
    symbol: str | None = None,
    exchange: str = FILE_EXCHANGE,
    timeframe: str | None = None,
) -> Candles:
    """Return the candles of a parquet or CSV file, oldest first, whatever the order of its rows.

    The time column is the first of `open_time_ms`, `open_time`, `timestamp`, `ts`, `date` that exists: epoch
    seconds, milliseconds, microseconds or nanoseconds (told apart by size), a date-time, or ISO 8601 text
    (UTC when it names no zone). Besides it the file needs open, high, low, close and volume; names in any
    case. Without `symbol` or `timeframe` the file name gives them (`BTC-USD_1m.parquet`: BTC/USD, 1m), and
    where it has no time frame, the most common step between rows does.

    Raises CandleFileError when the file cannot be read, lacks a column, or holds a row that breaks a rule of
    `alpharay.market.quality`.
    """
    file = Path(path)
    frame = _read_frame(file)
    named_symbol, named_timeframe = _from_name(file)
    market = symbol if symbol is not None else named_symbol
    if market is None:
        raise CandleFileError(
            f"{file}: the file name tells no symbol; give one, or name the file like BTC-USD_1m{file.suffix}"
        )
    matrix = _matrix(file, frame)
    matrix = matrix[np.argsort(matrix[:, 0], kind="stable")]
    known_timeframe = timeframe if timeframe is not None else named_timeframe
    if known_timeframe is None:
        known_timeframe = _common_step(file, matrix[:, 0])
    checked = check_candles(matrix, exchange=exchange, symbol=resolve_symbol(market), timeframe=known_timeframe)
    if checked.refused:
        first = checked.refused[0]
        raise CandleFileError(
            f"{file}: {len(checked.refused)} of {len(matrix)} rows break a rule; the first, with open time "
            f"{first.row[0]:.0f} ms: {first.reason} ({first.rule})"
        )
    return checked.candles


def write_candles(candles: Candles, path: Path | str) -> Path:
    """Write the candles to a parquet or CSV file, by its ending, for `read_candles`; return its path."""
    file = Path(path)
    frame = candles.to_frame().rename({"open_time": "open_time_ms"})
    match file.suffix.lower():
        case ".parquet":
            frame.write_parquet(file)
        case ".csv":
            frame.write_csv(file)
        case _:
            raise CandleFileError(f"{file}: the file must end in .parquet or .csv, was {file.suffix!r}")
    return file


def _read_frame(file: Path) -> pl.DataFrame:
    if not file.is_file():
        raise CandleFileError(f"{file}: there is no such file")
    try:
        match file.suffix.lower():
            case ".parquet":
                frame = pl.read_parquet(file)
            case ".csv":
                frame = pl.read_csv(file, infer_schema_length=10_000)
            case _:
                raise CandleFileError(f"{file}: the file must end in .parquet or .csv, was {file.suffix!r}")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise CandleFileError(f"{file}: the file cannot be read: {error}") from error
    return frame.rename({name: name.strip().lower() for name in frame.columns})


def _from_name(file: Path) -> tuple[str | None, str | None]:
    match = _NAME.fullmatch(file.stem)
    if match is None:
        return None, None
    return f"{match['base']}/{match['quote']}", match["timeframe"]


def _matrix(file: Path, frame: pl.DataFrame) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the file's rows as n x 6 numbers: open time (ms) and the values."""
    time_column = next((name for name in TIME_COLUMNS if name in frame.columns), None)
    missing = [name for name in VALUE_COLUMNS if name not in frame.columns]
    if time_column is None or missing:
        lacks = ", ".join(([] if time_column else [" or ".join(TIME_COLUMNS)]) + missing)
        raise CandleFileError(f"{file}: the file lacks the columns {lacks}; it has {', '.join(frame.columns)}")
    columns = [_open_time(file, frame[time_column])]
    columns.extend(_numbers(file, frame[name]) for name in VALUE_COLUMNS)
    matrix = np.column_stack([column.to_numpy() for column in columns])
    return matrix.astype(np.float64, copy=False)


def _numbers(file: Path, column: pl.Series) -> pl.Series:
    numbers = column.cast(pl.Float64, strict=False)
    _require_all(file, column, numbers, "a number")
    return numbers


def _open_time(file: Path, column: pl.Series) -> pl.Series:
    """Return the time column as UTC milliseconds."""
    if column.dtype == pl.String:
        times = column.str.to_datetime(time_zone="UTC", time_unit="ms", strict=False, ambiguous="null")
        _require_all(file, column, times, "an ISO 8601 time, such as 2024-01-31T10:00:00Z")
        return times.dt.epoch("ms")
    if column.dtype in (pl.Date, pl.Datetime):
        times = column.cast(pl.Datetime("ms"))
        _require_all(file, column, times, "a time")
        return times.dt.epoch("ms")
    numbers = _numbers(file, column)
    if column.name == "open_time_ms" or len(numbers) == 0:
        return numbers
    newest = float(numbers.abs().max())  # type: ignore[arg-type]  # not empty, and numbers
    factor, divisor = next((factor, divisor) for limit, factor, divisor in _EPOCH_UNITS if newest < limit)
    return numbers * factor / divisor


def _require_all(file: Path, raw: pl.Series, read: pl.Series, wanted: str) -> None:
    """Raise CandleFileError naming the first value that could not be read."""
    unread = read.is_null()
    if unread.any():
        row = int(unread.arg_max() or 0)
        raise CandleFileError(
            f"{file}: column {raw.name} must hold {wanted} in every row, was {raw[row]!r} in row {row}"
        )


def _common_step(file: Path, open_time: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    """Return the most common step between rows as a time frame: gaps make some steps longer, never most."""
    steps = np.diff(open_time)
    steps = steps[steps > 0]
    if len(steps) == 0:
        raise CandleFileError(f"{file}: {len(open_time)} rows do not tell the time frame; give one, such as 1m")
    values, counts = np.unique(steps, return_counts=True)
    step = float(values[np.argmax(counts)])
    for unit in ("d", "h", "m"):
        unit_ms = timeframe_ms(f"1{unit}")
        if step % unit_ms == 0:
            return f"{int(step // unit_ms)}{unit}"
    raise CandleFileError(
        f"{file}: the most common step between rows is {step:.0f} ms, which is no time frame; give one"
    )
