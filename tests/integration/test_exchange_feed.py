"""The whole way over HTTP: a replayed file, the simulated exchange in a process of its own, ccxt, paging."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from alpharay.feeds.backfill import CandlePage, backfill_pages
from alpharay.feeds.exchange import (
    ExchangeFeed,
    ExchangeRefusedError,
    ExchangeUnavailableError,
    UnknownSymbolError,
    connect_exchange,
)
from alpharay.market.candles import VALUE_COLUMNS, Candles
from alpharay.market.files import read_candles, write_candles
from alpharay.market.gaps import find_gaps
from alpharay.market.resampling import resample
from alpharay.market.sample import sample_candles

MINUTE = 60_000
REAL_MINUTES = Path(__file__).resolve().parents[3] / "shared" / "data" / "BTC-USD_1m.parquet"
ROWS = 25_000


@dataclass(frozen=True)
class Server:
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def order(self, fault: dict[str, Any], count: int = 1) -> None:
        answer = httpx.post(f"{self.url}/simulated/faults", json={"fault": fault, "count": count}, trust_env=False)
        answer.raise_for_status()

    def set_clock(self, now_ms: int) -> None:
        httpx.post(f"{self.url}/simulated/clock", json={"now_ms": now_ms}, trust_env=False).raise_for_status()


def start_server(folder: Path, *options: str) -> Server:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / f"exchange-{port}.log"
    command = [sys.executable, "-m", "alpharay.feeds.simulated", "--port", str(port), *options]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    server = Server(f"http://127.0.0.1:{port}", process, log)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            httpx.get(f"{server.url}/api/v3/ping", trust_env=False)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return server
    stop_server(server)
    raise AssertionError(f"no answer from {server.url} in 30 s: {log.read_text()}")


def stop_server(server: Server) -> None:
    server.process.send_signal(signal.SIGTERM)
    try:
        server.process.wait(10)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait(10)


def minutes_with_gaps() -> Candles:
    """Return 25,000 candles: real ones where the shared data folder is at hand, else a walk with holes."""
    if REAL_MINUTES.is_file():
        return read_candles(REAL_MINUTES, exchange="simulated").slice(100_000, 100_000 + ROWS)
    random = np.random.default_rng(7)
    times = 1_546_300_800_000 + np.flatnonzero(random.random(ROWS * 2) < 0.9)[:ROWS] * MINUTE
    close = 4000 * np.exp(np.cumsum(random.normal(0, 1e-3, ROWS)))
    start = np.concatenate(([4000.0], close[:-1]))
    high, low = np.maximum(start, close) * 1.0005, np.minimum(start, close) * 0.9995
    return Candles("simulated", "BTC/USD", "1m", times, start, high, low, close, random.uniform(0, 5, ROWS))


@pytest.fixture(scope="module")
def source() -> Candles:
    return minutes_with_gaps()


@pytest.fixture(scope="module")
def frozen(source: Candles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose clock stands at the end of the file."""
    folder = tmp_path_factory.mktemp("exchange")
    file = write_candles(source, folder / "BTC-USD_1m.parquet")
    end = int(source.open_time[-1]) + MINUTE
    server = start_server(folder, "--candles", str(file), "--speed", "0", "--start", str(end))
    yield server
    stop_server(server)


@pytest.fixture
def exchange(frozen: Server, source: Candles) -> Server:
    """The frozen server with its clock at the end and no fault waiting."""
    httpx.delete(f"{frozen.url}/simulated/faults", trust_env=False).raise_for_status()
    frozen.set_clock(int(source.open_time[-1]) + MINUTE)
    return frozen


def feed_of(server: Server, waits: list[float] | None = None) -> ExchangeFeed:
    """Return a feed that notes its waits between tries instead of waiting."""
    connected = connect_exchange("simulated", server.url)
    waited = [] if waits is None else waits
    return ExchangeFeed("simulated", connected._client, tries=4, sleep=waited.append)


def joined(pages: list[CandlePage]) -> dict[str, np.ndarray[Any, Any]]:
    names = ("open_time", *VALUE_COLUMNS)
    return {name: np.concatenate([getattr(page.candles, name) for page in pages]) for name in names}


def assert_equal(pages: list[CandlePage], expected: Candles) -> None:
    for name, column in joined(pages).items():
        np.testing.assert_array_equal(column, getattr(expected, name), err_msg=name)


def test_backfill_equals_the_source_file_bit_for_bit(exchange: Server, source: Candles):
    pages = list(backfill_pages(feed_of(exchange), "BTC/USD", "1m", int(source.open_time[0])))
    assert_equal(pages, source)
    assert all(page.refused == () for page in pages)
    assert pages[0].candles.exchange == "simulated"


def test_backfill_of_a_coarser_timeframe_equals_the_resampled_source(exchange: Server, source: Candles):
    pages = list(backfill_pages(feed_of(exchange), "BTC/USD", "5m", int(source.open_time[0])))
    expected = resample(source, "5m")
    received = joined(pages)
    start = int(np.searchsorted(received["open_time"], expected.open_time[0]))
    for name, column in received.items():
        np.testing.assert_array_equal(column[start : start + len(expected)], getattr(expected, name))


def test_unclosed_candle_is_shown_by_the_exchange_and_never_yielded(exchange: Server, source: Candles):
    feed = feed_of(exchange)
    place = next(i for i in range(500, 600) if source.open_time[i + 1] - source.open_time[i] == MINUTE)
    opened = int(source.open_time[place])
    for now_ms in (opened, opened + 1, opened + MINUTE - 1, opened + MINUTE):
        exchange.set_clock(now_ms)
        shown = feed.fetch_candles("BTC/USD", "1m", opened, 10).rows
        assert shown[0][0] == opened, "the exchange shows the candle while it is open"
        pages = list(backfill_pages(feed, "BTC/USD", "1m", opened - 100 * MINUTE))
        newest = joined(pages)["open_time"][-1]
        assert newest + MINUTE <= now_ms
        assert (newest == opened) == (now_ms == opened + MINUTE)


def test_polls_of_a_running_clock_collect_the_source_exactly(source: Candles, tmp_path: Path):
    file = write_candles(source, tmp_path / "BTC-USD_1m.parquet")
    start = int(source.open_time[5000])
    server = start_server(tmp_path, "--candles", str(file), "--speed", "6000", "--start", str(start))
    try:
        feed = feed_of(server)
        pages: list[CandlePage] = []
        position, until = start, start + 400 * MINUTE
        deadline = time.monotonic() + 60
        while position < until and time.monotonic() < deadline:
            for page in backfill_pages(feed, "BTC/USD", "1m", position, until):
                pages.append(page)
                position = page.end_ms
        assert position == until
        assert_equal(pages, source.between(start, until))
        assert len(pages) > 2
    finally:
        stop_server(server)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 429, "retry_after_s": 3},
        {"kind": "status", "status": 418, "retry_after_s": 4},
        {"kind": "disconnect"},
        {"kind": "garbage"},
    ],
)
def test_failures_that_pass_lose_nothing(exchange: Server, source: Candles, fault: dict[str, Any]):
    waits: list[float] = []
    exchange.order(fault, count=2)
    start, end = int(source.open_time[1000]), int(source.open_time[3500])
    pages = list(backfill_pages(feed_of(exchange, waits), "BTC/USD", "1m", start, end))
    assert_equal(pages, source.between(start, end))
    assert len(waits) == 2
    assert min(waits) >= fault.get("retry_after_s", 0)


def test_timeout_is_tried_again(exchange: Server, source: Candles):
    feed = feed_of(exchange)
    feed.symbols()
    feed._client.timeout = 300  # type: ignore[attr-defined]
    exchange.order({"kind": "timeout", "seconds": 2})
    answer = feed.fetch_candles("BTC/USD", "1m", int(source.open_time[0]), 5)
    assert len(answer.rows) == 5


def test_failure_that_stays_is_reported_with_what_was_asked(exchange: Server):
    exchange.order({"kind": "status", "status": 500}, count=10)
    with pytest.raises(ExchangeUnavailableError, match=r"simulated did not give BTC/USD 1m from 0 after 4 tries"):
        feed_of(exchange).fetch_candles("BTC/USD", "1m", 0, 5)


def test_long_ban_is_not_waited_for(exchange: Server):
    waits: list[float] = []
    exchange.order({"kind": "status", "status": 418, "retry_after_s": 7200})
    with pytest.raises(ExchangeUnavailableError, match="418"):
        feed_of(exchange, waits).fetch_candles("BTC/USD", "1m", 0, 5)
    assert waits == []


def test_weight_limit_of_the_exchange_is_answered_by_waiting(source: Candles, tmp_path: Path):
    file = write_candles(source, tmp_path / "BTC-USD_1m.parquet")
    options = ("--candles", str(file), "--speed", "0", "--weight-limit", "30")
    server = start_server(tmp_path, *options)
    try:
        waits: list[float] = []
        feed = feed_of(server, waits)
        with pytest.raises(ExchangeUnavailableError, match="Too much request weight"):
            list(backfill_pages(feed, "BTC/USD", "1m", int(source.open_time[0])))
        assert len(waits) == 3
        assert all(1 <= wait <= 61 for wait in waits)
    finally:
        stop_server(server)


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ("high_below_low", "high_below_low"),
        ("nan", "not_a_number"),
        ("negative_price", "price_not_positive"),
        ("negative_volume", "negative_volume"),
        ("misaligned", "not_aligned"),
    ],
)
def test_bad_row_is_refused_with_its_rule_and_the_gap_it_leaves_can_be_filled(
    exchange: Server, source: Candles, row: str, rule: str
):
    feed = feed_of(exchange)
    start, end = int(source.open_time[2000]), int(source.open_time[4000])
    expected = source.between(start, end)
    exchange.order({"kind": "bad_row", "row": row})

    pages = list(backfill_pages(feed, "BTC/USD", "1m", start, end))

    assert [refused.rule for page in pages for refused in page.refused] == [rule]
    received = joined(pages)["open_time"]
    missing = np.setdiff1d(expected.open_time, received)
    assert len(missing) == 1
    assert missing[0] in [
        time for gap in find_gaps(received, "1m", start, end) for time in range(gap.start_ms, gap.end_ms, MINUTE)
    ]
    repaired = list(backfill_pages(feed, "BTC/USD", "1m", int(missing[0]), int(missing[0]) + MINUTE))
    assert_equal(repaired, source.between(int(missing[0]), int(missing[0]) + MINUTE))


def test_duplicate_row_is_refused_once_and_nothing_is_lost(exchange: Server, source: Candles):
    start, end = int(source.open_time[2000]), int(source.open_time[4000])
    exchange.order({"kind": "bad_row", "row": "duplicate"})
    pages = list(backfill_pages(feed_of(exchange), "BTC/USD", "1m", start, end))
    assert [refused.rule for page in pages for refused in page.refused] == ["duplicate"]
    assert_equal(pages, source.between(start, end))


def test_empty_page_in_the_middle_of_history_shows_as_a_gap_and_does_not_end_it(exchange: Server, source: Candles):
    start, end = int(source.open_time[2000]), int(source.open_time[6000])
    exchange.order({"kind": "empty_page"})
    pages = list(backfill_pages(feed_of(exchange), "BTC/USD", "1m", start, end))
    assert pages[0].end_ms == start + 1000 * MINUTE
    assert_equal(pages[1:], source.between(start + 1000 * MINUTE, end))


def test_unknown_symbol_and_timeframe_are_named(exchange: Server):
    feed = feed_of(exchange)
    assert feed.symbols() == ("BTC/USD",)
    with pytest.raises(UnknownSymbolError, match=r"no spot market BTC/USDT; did you mean BTC/USD\?"):
        feed.fetch_candles("BTC/USDT", "1m", 0, 1)
    with pytest.raises(ExchangeRefusedError, match="Invalid interval"):
        feed.fetch_candles("BTC/USD", "1s", 0, 1)


def test_default_replay_is_the_sample_with_its_newest_candles_still_to_come(tmp_path: Path):
    server = start_server(tmp_path)
    try:
        feed = connect_exchange("simulated", server.url)
        assert feed.symbols() == ("IXIC/USD", "SPX/USD")
        for sample in sample_candles():
            pages = list(backfill_pages(feed, sample.symbol, "1d", int(sample.open_time[0])))
            assert_equal(pages, sample.slice(0, len(sample) - 60))
        assert feed.now_ms() >= int(sample.open_time[-60])
        for line in server.log.read_text().splitlines():
            assert {"time", "level", "event"} <= json.loads(line).keys()
    finally:
        stop_server(server)
    assert server.process.returncode in (0, -signal.SIGTERM)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--candles", "absent.parquet"), "absent.parquet: there is no such file"),
        (("--speed", "-1"), "speed must be 0 or more, was -1.0"),
        (("--start", "yesterday"), "was 'yesterday'"),
        (("--weight-limit", "0"), "weight limit must be 1 or more, was 0"),
    ],
)
def test_option_that_cannot_be_used_ends_the_server_with_its_reason(options: tuple[str, ...], said: str):
    command = [sys.executable, "-m", "alpharay.feeds.simulated", "--port", "1", *options]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert said in result.stderr
