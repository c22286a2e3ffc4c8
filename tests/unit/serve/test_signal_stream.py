"""Signals as server-sent events: newest state first, one event a candle and market, bounded, and ended in order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
from test_signal_api import HOUR_MS, Bench, bench, candles, error_of, snapshot  # noqa: F401 - fixtures

from alpharay.market.candles import Candles
from alpharay.signals.event import StreamPosition
from alpharay.signals.refusal import RefusedError
from alpharay.signals.request import MarketRequest
from alpharay.signals.snapshot import market_view, snapshot_of
from serve_apps.signal import stream_seconds
from serve_apps.signal_stream import (
    HEARTBEAT_S,
    LONGEST_STREAM_S,
    MOST_OF_A_CLIENT,
    MOST_STREAMS,
    StreamPlaces,
    signal_events,
)

SOL = MarketRequest(symbol="SOL/USD", timeframe="1h", exchange="generated")
MARKETS = [("generated", "SOL/USD", "1h")]


@dataclass
class Event:
    kind: str
    id: str
    data: dict[str, Any]


def events_of(text: str) -> list[Event]:
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            found.append(Event(fields["event"], fields.get("id", ""), json.loads(fields["data"])))
    return found


@pytest.mark.parametrize("path", ["/signals/stream", "/orchestrator/signals/stream"])
def test_the_newest_state_of_each_symbol_comes_first_and_the_end_is_told(bench: Bench, path: str) -> None:
    response = bench.client.get(path, params={"symbols": "SOL, SOLANA ,SOL"})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.startswith("retry: 2000\n\n")
    events = events_of(response.text)
    assert [one.kind for one in events] == ["signal", "signal", "end"]
    assert [one.data["symbol"] for one in events[:2]] == ["SOL/USD", "SOLANA/USD"]
    assert len(events[0].data["components"]) == 5
    assert bench.messages == []
    assert bench.places.open == 0


def test_what_a_client_has_seen_is_not_told_again_and_what_is_new_is(
    bench: Bench,
    candles: Candles,
) -> None:
    params = {"symbols": "SOL,SOLANA"}
    seen = events_of(bench.client.get("/signals/stream", params=params).text)[1].id
    again = bench.client.get("/signals/stream", params=params, headers={"Last-Event-ID": seen})
    assert [one.kind for one in events_of(again.text)] == ["end"]
    half = events_of(bench.client.get("/signals/stream", params=params).text)[0].id
    rest = events_of(bench.client.get("/signals/stream", params=params, headers={"Last-Event-ID": half}).text)
    assert [one.data.get("symbol") for one in rest] == ["SOLANA/USD", None]
    shifted = replace(candles, open_time=candles.open_time + HOUR_MS)
    newer = snapshot_of([market_view(shifted, []), *bench.refresher.snapshot.markets["SOLANA/USD"]])
    bench.source = lambda: newer
    assert bench.refresher.refresh()
    after = events_of(bench.client.get("/signals/stream", params=params, headers={"Last-Event-ID": seen}).text)
    assert [one.data.get("symbol") for one in after] == ["SOL/USD", None]


@pytest.mark.parametrize("last", ["", "x", "....", "0" * 100_000, "ffffffff.1", "1.2.3", "-1.٣"])
def test_an_id_of_nothing_known_is_no_position(bench: Bench, last: str) -> None:
    response = bench.client.get("/signals/stream", params={"symbols": "SOL"}, headers={b"last-event-id": last.encode()})
    assert [one.kind for one in events_of(response.text)] == ["signal", "end"]


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({}, 422, "missing_field"),
        ({"symbols": " , "}, 422, "missing_field"),
        ({"symbols": ",".join(f"S{place}" for place in range(51))}, 422, "invalid_field"),
        ({"symbols": "NOPE"}, 404, "unknown_symbol"),
        ({"symbols": "SOL", "timeframe": "5m"}, 404, "unknown_market"),
        ({"symbols": "SOL", "timeframe": "soon"}, 422, "invalid_field"),
        ({"symbols": "S/O/L"}, 422, "invalid_field"),
    ],
)
def test_a_stream_of_what_is_not_there_is_refused(
    bench: Bench,
    params: dict[str, str],
    status: int,
    code: str,
) -> None:
    error_of(bench.client.get("/signals/stream", params=params), status, code)


def test_a_candle_that_is_too_old_is_told_as_refused_and_the_stream_goes_on(bench: Bench) -> None:
    bench.now_ms += 6 * HOUR_MS
    events = events_of(bench.client.get("/signals/stream", params={"symbols": "SOL,SOLANA"}).text)
    assert [one.kind for one in events] == ["refused", "signal", "end"]
    assert events[0].data["error"]["code"] == "stale_data"
    assert events[0].data["symbol"] == "SOL/USD"


def test_an_open_stream_tells_each_new_candle_once_and_beats_in_between() -> None:
    times, clock = [[HOUR_MS], [0.0]]

    async def read() -> list[bytes]:
        places = StreamPlaces(lambda: times[0] > 3 * HOUR_MS)
        told = []
        events = stream(lambda _: times[0], lambda market: market, places, lambda: clock[0])
        async for one in events:
            told.append(one)
            if one.startswith(b"event: signal") and times[0] == HOUR_MS:
                clock[0] += HEARTBEAT_S
            elif one.startswith(b": heartbeat"):
                times[0] += HOUR_MS
            elif one.startswith(b"event: signal"):
                times[0] = 4 * HOUR_MS
        return told

    told = asyncio.run(asyncio.wait_for(read(), 10.0))
    kinds = [one.split(b"\n")[0] for one in told]
    assert kinds == [b"retry: 2000", b"event: signal", b": heartbeat", b"event: signal", b"event: end"]


def stream(
    newest: Callable[[MarketRequest], int | None],
    event: Callable[[MarketRequest], Any],
    places: StreamPlaces,
    monotonic: Callable[[], float],
) -> AsyncIterator[bytes]:
    return signal_events([SOL], StreamPosition(MARKETS), newest, event, places, monotonic=monotonic)


def test_a_market_that_is_gone_is_waited_for_and_the_stream_ends_with_the_replica() -> None:
    ending = [False, False, True]

    async def read() -> list[bytes]:
        places = StreamPlaces(lambda: ending.pop(0))
        return [one async for one in stream(lambda _: None, lambda market: market, places, lambda: 0.0)]

    told = asyncio.run(asyncio.wait_for(read(), 10.0))
    assert [one.split(b"\n")[0] for one in told] == [b"retry: 2000", b"event: end"]


def test_places_are_bounded_for_all_and_for_each_client_and_given_back() -> None:
    places = StreamPlaces()
    for _ in range(MOST_OF_A_CLIENT):
        places.enter("key:greedy")
    with pytest.raises(RefusedError, match="key:greedy has 4 streams open"):
        places.enter("key:greedy")
    for place in range(MOST_STREAMS - MOST_OF_A_CLIENT):
        places.enter(f"key:{place}")
    with pytest.raises(RefusedError, match="this replica has 8 streams open") as refused:
        places.enter("key:late")
    assert refused.value.refusal.retry_after_s == 2
    places.leave("key:greedy")
    places.enter("key:late")
    assert places.open == MOST_STREAMS


def test_a_replica_without_a_place_answers_503_and_one_that_ends_takes_no_stream(bench: Bench) -> None:
    for place in range(MOST_STREAMS):
        bench.places.enter(f"key:{place}")
    response = bench.client.get("/signals/stream", params={"symbols": "SOL"})
    error_of(response, 503, "too_many_streams")
    assert response.headers["retry-after"] == "2"
    for place in range(MOST_STREAMS):
        bench.places.leave(f"key:{place}")
    bench.places.closing = lambda: True
    error_of(bench.client.get("/signals/stream", params={"symbols": "SOL"}), 503, "too_many_streams")
    assert "alpharay_signal_streams 0.0" in bench.client.get("/metrics").text


@pytest.mark.parametrize(
    ("request_timeout_s", "lasts_s"), [(None, LONGEST_STREAM_S), (10.0, 8.0), (0.5, 1.0), (1e6, LONGEST_STREAM_S)]
)
def test_a_stream_ends_before_the_proxy_would_cut_it(
    monkeypatch: pytest.MonkeyPatch, request_timeout_s: float | None, lasts_s: float
) -> None:
    client = SimpleNamespace(http_config=SimpleNamespace(request_timeout_s=request_timeout_s))
    monkeypatch.setattr("serve_apps.signal._get_global_client", lambda: client)
    assert stream_seconds() == lasts_s
