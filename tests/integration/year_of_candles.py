"""A year of stored candles at a fixed time, and a run of retention on them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import pytest

import ray_jobs.retain
from alpharay.bus.messages import CandleMessage
from alpharay.market.timeframe import DAY_MS, timeframe_ms
from alpharay.store.candle_partitions import candle_partitions
from alpharay.store.candle_retention import alone
from alpharay.store.candle_rows import Market
from alpharay.store.candle_writer import CandleWriter
from alpharay.store.database import DatabasePool, open_pool
from alpharay.store.migrate import migrate
from ray_jobs.retain import Keep, Retained, retain


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOW = ms("2026-06-15T12:00")
KEPT_FROM = ms("2025-06-01")
KEEP = Keep(candle_days=365, shorter_than=DAY_MS, backtest_days=180, months_ahead=3)
MINUTES = Market("live", "AAA/USD", "1m")
HOURS = Market("live", "BBB/USD", "1h")
DAYS = Market("live", "AAA/USD", "1d")
AHEAD = ["candles_2026_07", "candles_2026_08", "candles_2026_09"]


@pytest.fixture
def pool(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabasePool]:
    """A migrated database at a fixed time."""
    monkeypatch.setattr(ray_jobs.retain, "_now_ms", lambda: NOW)
    migrate(database)
    with open_pool(database, application="test") as pool:
        yield pool


@pytest.fixture
def year(pool: DatabasePool) -> DatabasePool:
    """March 2025 holds short candles alone, April days too, May days alone; June and what is new is kept."""
    put(pool, MINUTES, "2025-03-05", 40)
    put(pool, HOURS, "2025-03-31T20:00", 8)
    put(pool, MINUTES, "2025-04-10", 40)
    put(pool, DAYS, "2025-04-28", 6)
    put(pool, MINUTES, "2025-06-01", 40)
    put(pool, MINUTES, "2026-06-15T11:00", 40)
    return pool


def put(pool: DatabasePool, market: Market, start: str, count: int, close: float = 1.0, revision: int = 1) -> None:
    """Store candles as a sink does."""
    first, length = ms(start), timeframe_ms(market.timeframe)
    messages = [
        CandleMessage(
            **market._asdict(), open_time=first + number * length, open=close, high=close, low=close, close=close,
            volume=1.0, revision=revision,
        )
        for number in range(count)
    ]  # fmt: skip
    writer = CandleWriter()
    batch = writer.decode([msgspec.json.encode(message) for message in messages]).content
    writer.prepare(pool, batch)
    with pool.connection() as connection:
        writer.write(connection, batch)


def run(pool: DatabasePool, keep: Keep = KEEP) -> Retained:
    with alone(pool) as connection:
        assert connection is not None
        return retain(pool, connection, keep)


def counts(pool: DatabasePool) -> dict[str, int]:
    """Return the stored candles by time frame and month."""
    with pool.connection() as connection:
        rows = connection.execute(
            "SELECT timeframe || ' ' || to_char(to_timestamp(open_time / 1000), 'YYYY-MM'), count(*) "
            "FROM candles GROUP BY 1 ORDER BY 1"
        ).fetchall()
    return {row[0]: int(row[1]) for row in rows}


def names(pool: DatabasePool) -> list[str]:
    with pool.connection() as connection:
        return [one.name for one in candle_partitions(connection)]


def everything(pool: DatabasePool) -> dict[str, object]:
    """Return the content of every table that retention may touch, and the tables that there are."""
    tables = ("candles", "candle_retention", "ingested_markets", "absent_candles", "outbox", "backtests")
    with pool.connection() as connection:
        found: dict[str, object] = {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall() for table in tables
        }
        found["relations"] = connection.execute("SELECT relname FROM pg_class ORDER BY 1").fetchall()
    return found


def detaching(pool: DatabasePool) -> list[str]:
    with pool.connection() as connection:
        return [one.name for one in candle_partitions(connection) if one.detaching]


def settings_of(database: str) -> object:
    from pydantic import SecretStr

    from alpharay.settings import Settings

    return Settings(database_url=SecretStr(database))
