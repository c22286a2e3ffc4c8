"""What unit tests share: settings of their own each, and the real candles where they are to be had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from alpharay.market.candles import Candles, candles_from_frame
from alpharay.settings import settings

REAL_CANDLES = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(autouse=True)
def settings_of_its_own() -> Iterator[None]:
    """A process reads its settings once; a test reads those of its own environment, and leaves none to the next."""
    settings.cache_clear()
    yield
    settings.cache_clear()


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
