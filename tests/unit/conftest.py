"""What unit tests share: the real candles, where they are to be had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from alpharay.market.candles import Candles, candles_from_frame

REAL_CANDLES = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def real_candles() -> Callable[[str, slice], Candles]:
    """Return a reader of real 1-minute candles by file name and rows; skips where the files are absent."""
    frames: dict[str, pl.DataFrame] = {}

    def read(name: str, rows: slice) -> Candles:
        path = REAL_CANDLES / f"{name}.parquet"
        if not path.is_file():
            pytest.skip(f"real candles {name} are not here")
        if name not in frames:
            frames[name] = pl.read_parquet(path).rename({"open_time_ms": "open_time"})
        symbol = name.split("_")[0].replace("-", "/")
        return candles_from_frame(frames[name][rows.start : rows.stop], "bitfinex", symbol, "1m")

    return read
