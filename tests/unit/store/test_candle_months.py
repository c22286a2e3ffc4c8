"""Which months are needed next, and which are over."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from alpharay.market.timeframe import DAY_MS
from alpharay.store.candle_partitions import Partition, month_at, month_start_ms, months_ahead
from alpharay.store.candle_retention import kept_since
from alpharay.store.candle_rows import Market
from alpharay.store.kept_candles import KeptCandles


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_months_ahead_go_over_the_year() -> None:
    assert months_ahead(ms("2025-11-30T23:59:59.999"), 3) == (
        date(2025, 11, 1),
        date(2025, 12, 1),
        date(2026, 1, 1),
        date(2026, 2, 1),
    )
    assert months_ahead(ms("2025-11-30"), 0) == (date(2025, 11, 1),)


@pytest.mark.parametrize("day", ["1969-12-31T23:59:59.999", "1970-01-01", "2024-02-29T12:00"])
def test_a_time_is_in_the_month_that_began_last(day: str) -> None:
    month = month_at(ms(day))
    assert f"{month:%Y-%m}" == day[:7]
    assert month_start_ms(month) <= ms(day)


@pytest.mark.parametrize(
    ("now", "days", "since"),
    [
        ("2026-06-15", 365, "2025-06-01"),
        ("2026-06-01", 365, "2025-06-01"),
        # The last moment at which May 2025 has a candle that is younger than 365 days, and the first without.
        ("2026-05-31T23:59:59.999", 365, "2025-05-01"),
        ("2025-03-01", 366, "2024-02-01"),
        ("2026-01-31", 31, "2025-12-01"),
    ],
)
def test_the_month_of_the_oldest_day_is_kept_whole(now: str, days: int, since: str) -> None:
    assert kept_since(ms(now), days) == ms(since)


@pytest.mark.parametrize("now", ["2026-03-31T07:00", "2024-02-29", "2026-01-01"])
@pytest.mark.parametrize("days", [31, 365, 730])
def test_nothing_younger_than_asked_for_ends(now: str, days: int) -> None:
    assert ms(now) - (days + 31) * DAY_MS < kept_since(ms(now), days) <= ms(now) - days * DAY_MS


def test_what_ends_is_short_old_and_of_the_exchange() -> None:
    kept = KeptCandles("live", ms("2025-06-01"), DAY_MS)
    minutes = Market("live", "AAA/USD", "1m")
    assert kept.ends(minutes, ms("2025-06-01"))
    assert kept.ends(minutes._replace(timeframe="23h"), ms("2025-05-01"))
    assert not kept.ends(minutes, ms("2025-06-01") + 1)
    assert not kept.ends(minutes._replace(timeframe="24h"), ms("2025-05-01"))
    assert not kept.ends(minutes._replace(exchange="other"), ms("2025-05-01"))
    assert not KeptCandles("live", None, DAY_MS).ends(minutes, 0)


def test_a_partition_is_named_by_its_beginning() -> None:
    assert Partition("any", ms("2024-12-01"), ms("2025-01-01")).month == date(2024, 12, 1)
