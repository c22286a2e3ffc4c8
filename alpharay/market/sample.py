"""Real candles that are always there: daily S&P 500 and NASDAQ Composite, 1999 to 2018.

They ship inside the `arch` package as examples, so that everything runs with no network and the same
everywhere.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import polars as pl

from alpharay.market.candles import VALUE_COLUMNS, Candles, candles_from_frame

SIMULATED_EXCHANGE = "simulated"
"""The exchange name of candles that a replay, not a market, made known."""

_FILES = {"SPX/USD": "sp500", "IXIC/USD": "nasdaq"}


def sample_candles() -> tuple[Candles, ...]:
    """Return 5,031 daily candles each of `SPX/USD` and `IXIC/USD`; volume is in shares.

    All rows keep the rules of `alpharay.market.quality`; two NASDAQ days state volume 0. Weekends and
    holidays have no row.
    """
    # The package itself is not imported: it takes over a second, and only its two data files are wanted.
    spec = find_spec("arch")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package arch, which holds the sample candles, is not installed: run make demo")
    folder = Path(spec.origin).parent / "data"
    return tuple(_read(folder / name / f"{name}.csv.gz", symbol) for symbol, name in _FILES.items())


def _read(file: Path, symbol: str) -> Candles:
    frame = pl.read_csv(file)
    frame = frame.rename({name: name.lower() for name in frame.columns})
    day = pl.col("date").str.to_date("%m/%d/%Y").cast(pl.Datetime("ms")).dt.epoch("ms")
    frame = frame.select(day.alias("open_time"), *VALUE_COLUMNS)
    return candles_from_frame(frame, SIMULATED_EXCHANGE, symbol, "1d")
