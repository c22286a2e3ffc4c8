"""The simulated exchange's answers, without a network."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.types import ASGIApp

from alpharay.feeds.simulated.application import simulated_exchange_app
from alpharay.feeds.simulated.clock import ReplayClock, continued_clock
from alpharay.feeds.simulated.exchange import SimulatedExchange
from alpharay.feeds.simulated.faults import Fault, Faults
from alpharay.feeds.simulated.replay import Replay
from alpharay.feeds.simulated.request_weight import RequestWeight
from alpharay.market.candles import Candles

MINUTE = 60_000
START = 1_546_300_800_000
ROWS = 3000


def btc(rows: int = ROWS, symbol: str = "BTC/USD", timeframe: str = "1m", step: int = MINUTE) -> Candles:
    random = np.random.default_rng(1)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.001, rows)))
    open_price = np.concatenate(([100.0], close[:-1]))
    high, low = np.maximum(open_price, close) * 1.001, np.minimum(open_price, close) * 0.999
    return Candles(
        "file",
        symbol,
        timeframe,
        START + np.arange(rows) * step,
        open_price,
        high,
        low,
        close,
        random.uniform(0, 9, rows),
    )


def exchange_at(now_ms: int, *sources: Candles, weight_limit: int = 1_000_000) -> SimulatedExchange:
    replay = Replay(sources or (btc(),))
    return SimulatedExchange(replay, ReplayClock(now_ms, replay.end_ms(), 0), RequestWeight(weight_limit), Faults())


class Client:
    """Sends single requests to an ASGI application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def get(self, path: str, **options: Any) -> httpx.Response:
        return asyncio.run(self._send("GET", path, options))

    def post(self, path: str, **options: Any) -> httpx.Response:
        return asyncio.run(self._send("POST", path, options))

    def delete(self, path: str) -> httpx.Response:
        return asyncio.run(self._send("DELETE", path, {}))

    async def _send(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://exchange.test") as client:
            return await client.request(method, path, **options)


def client_at(minute: float = ROWS, *sources: Candles, weight_limit: int = 1_000_000) -> Client:
    now_ms = START + int(minute * MINUTE)
    return Client(simulated_exchange_app(exchange_at(now_ms, *sources, weight_limit=weight_limit)))


def klines(client: Client, **parameters: Any) -> list[list[Any]]:
    response = client.get("/api/v3/klines", params={"symbol": "BTCUSD", "interval": "1m", **parameters})
    assert response.status_code == 200, response.text
    return response.json()


def minutes_of(rows: list[list[Any]]) -> list[int]:
    return [(row[0] - START) // MINUTE for row in rows]


def test_klines_from_a_start_are_the_first_from_there_with_the_files_exact_values():
    source = btc()
    rows = klines(client_at(), startTime=START + 10 * MINUTE, limit=3)
    assert minutes_of(rows) == [10, 11, 12]
    assert [float(text) for text in rows[0][1:6]] == [
        source.open[10], source.high[10], source.low[10], source.close[10], source.volume[10]
    ]  # fmt: skip
    assert rows[0][6] == START + 11 * MINUTE - 1
    assert len(rows[0]) == 12


def test_klines_without_a_start_are_the_newest():
    assert minutes_of(klines(client_at(100.5), limit=3)) == [98, 99, 100]
    assert minutes_of(klines(client_at(100.5), endTime=START + 50 * MINUTE, limit=3)) == [48, 49, 50]


def test_klines_default_to_500_and_are_capped_at_1000():
    assert len(klines(client_at(), startTime=0)) == 500
    assert len(klines(client_at(), startTime=0, limit=5000)) == 1000


def test_end_time_is_inclusive():
    rows = klines(client_at(), startTime=START, endTime=START + 2 * MINUTE)
    assert minutes_of(rows) == [0, 1, 2]


def test_newest_candle_is_open_and_shows_only_its_open_price():
    source = btc()
    rows = klines(client_at(100.5), limit=2)
    assert [float(text) for text in rows[-1][1:6]] == [source.open[100]] * 4 + [0.0]
    assert float(rows[-2][4]) == source.close[99]


def test_candle_that_ends_exactly_now_is_whole_and_nothing_later_is_known():
    source = btc()
    rows = klines(client_at(100), limit=2)
    assert minutes_of(rows) == [99, 100]
    assert float(rows[0][4]) == source.close[99]
    assert klines(client_at(100), startTime=START + 101 * MINUTE) == []


def test_open_coarser_candle_is_made_of_what_is_known():
    source = btc()
    rows = klines(client_at(62.5), interval="1h", limit=2)
    assert minutes_of(rows) == [0, 60]
    assert float(rows[0][2]) == source.high[:60].max()
    assert float(rows[1][1]) == source.open[60]
    assert float(rows[1][2]) == max(source.high[60:62].max(), source.open[62])
    assert float(rows[1][4]) == source.open[62]
    assert float(rows[1][5]) == pytest.approx(source.volume[60:62].sum(), rel=1e-12)


def test_before_the_first_candle_there_is_nothing():
    assert klines(client_at(-5)) == []


def test_at_the_end_of_the_data_everything_is_closed():
    rows = klines(client_at(ROWS), limit=2)
    assert minutes_of(rows) == [ROWS - 2, ROWS - 1]


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"symbol": "DOGEUSD"}, -1121),
        ({"symbol": ""}, -1102),
        ({"interval": "1s"}, -1120),
        ({"interval": "1x"}, -1120),
        ({"startTime": "soon"}, -1100),
        ({"limit": "-1"}, -1100),
        ({"limit": "0"}, -1130),
        ({"colour": "red"}, -1104),
    ],
)
def test_wrong_parameter_has_binances_code(parameters, code):
    query = {"symbol": "BTCUSD", "interval": "1m", **parameters}
    response = client_at().get("/api/v3/klines", params=query)
    assert response.status_code == 400
    assert response.json()["code"] == code


def test_interval_finer_than_the_file_is_invalid():
    client = client_at(5000, btc(rows=10, timeframe="1d", step=86_400_000))
    response = client.get("/api/v3/klines", params={"symbol": "BTCUSD", "interval": "1h"})
    assert response.json() == {"code": -1120, "msg": "Invalid interval."}


def test_time_price_and_markets():
    client = client_at(100.5)
    assert client.get("/api/v3/ping").json() == {}
    assert client.get("/api/v3/time").json() == {"serverTime": START + 100 * MINUTE + 30_000}
    price = client.get("/api/v3/ticker/price", params={"symbol": "BTCUSD"}).json()
    assert float(price["price"]) == btc().open[100]
    symbols = client.get("/api/v3/exchangeInfo").json()["symbols"]
    assert [(market["symbol"], market["baseAsset"], market["quoteAsset"]) for market in symbols] == [
        ("BTCUSD", "BTC", "USD")
    ]


def test_weight_is_told_then_429_then_418():
    client = client_at(weight_limit=5)
    answers = [client.get("/api/v3/klines", params={"symbol": "BTCUSD", "interval": "1m"}) for _ in range(14)]
    assert [answer.headers["X-MBX-USED-WEIGHT-1M"] for answer in answers[:3]] == ["2", "4", "6"]
    assert [answer.status_code for answer in answers] == [200, 200, *[429] * 10, 418, 418]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 61
    assert answers[2].json()["code"] == -1003
    assert int(answers[-1].headers["Retry-After"]) > 61


def test_weight_is_forgotten_in_the_next_minute_and_the_ban_when_it_is_over():
    now = [1200.0]
    weight = RequestWeight(1, ban_s=120, clock=lambda: now[0])
    assert [weight.charge("a", 1).status for _ in range(2)] == [200, 429]
    assert weight.charge("b", 1).status == 200
    now[0] += 60
    assert weight.charge("a", 1).status == 200
    assert {weight.charge("a", 1).status for _ in range(11)} == {429, 418}
    now[0] += 60
    assert weight.charge("a", 1).status == 418
    now[0] += 61
    assert weight.charge("a", 1).status == 200


def test_only_so_many_clients_are_remembered():
    weight = RequestWeight(1)
    for client in range(3000):
        weight.charge(str(client), 1)
    assert len(weight._accounts) == 1024


@pytest.mark.parametrize(
    ("fault", "rows", "broken"),
    [
        ({"kind": "empty_page"}, 0, None),
        ({"kind": "bad_row", "row": "duplicate"}, 6, None),
        ({"kind": "bad_row", "row": "nan"}, 5, 4),
        ({"kind": "bad_row", "row": "negative_price"}, 5, 1),
        ({"kind": "bad_row", "row": "negative_volume"}, 5, 5),
    ],
)
def test_ordered_fault_spoils_one_page_and_only_one(fault, rows, broken):
    client = client_at()
    clean = klines(client, startTime=START, limit=5)
    client.post("/simulated/faults", json={"fault": fault})
    spoiled = klines(client, startTime=START, limit=5)
    assert len(spoiled) == rows
    if broken is not None:
        assert spoiled[2][broken] != clean[2][broken]
    assert klines(client, startTime=START, limit=5) == clean


def test_status_fault_waits_for_its_path_and_counts_down():
    client = client_at()
    order = {"fault": {"kind": "status", "status": 503, "path": "time"}, "count": 2}
    assert client.post("/simulated/faults", json=order).json()["waiting_faults"] == 2
    assert client.get("/api/v3/ping").status_code == 200
    assert [client.get("/api/v3/time").status_code for _ in range(3)] == [503, 503, 200]
    client.post("/simulated/faults", json=order)
    assert client.delete("/simulated/faults").json()["waiting_faults"] == 0


@pytest.mark.parametrize(
    "order",
    [
        {"fault": {"kind": "earthquake"}},
        {"fault": {"kind": "status", "status": 200}},
        {"fault": {"kind": "timeout", "seconds": 9000}},
        {"fault": {"kind": "status"}, "count": 0},
        {"fault": {"kind": "status"}, "count": 10_000},
        {"fault": {"kind": "status", "colour": "red"}},
        {},
    ],
)
def test_wrong_order_is_refused_with_a_reason(order):
    response = client_at().post("/simulated/faults", json=order)
    assert response.status_code == 422
    assert response.json()["error"]


def test_clock_can_be_turned():
    client = client_at(10)
    client.post("/simulated/clock", json={"now_ms": START + 20 * MINUTE})
    assert minutes_of(klines(client, limit=1)) == [20]
    assert client.get("/simulated/state").json()["now_ms"] == START + 20 * MINUTE


def test_clock_runs_at_its_speed_and_stops_at_the_end():
    real = [0.0]
    clock = ReplayClock(1000, 100_000, 60, real_time=lambda: real[0])
    assert clock.now_ms() == 1000
    real[0] = 1.5
    assert clock.now_ms() == 91_000
    real[0] = 100.0
    assert clock.now_ms() == 100_000


@pytest.mark.parametrize("speed", [-1, float("inf"), float("nan")])
def test_speed_that_is_no_speed_is_refused(speed):
    with pytest.raises(ValueError, match="speed must be 0 or more"):
        ReplayClock(0, 1, speed)


def test_clock_file_keeps_the_time_over_a_restart(tmp_path):
    file = tmp_path / "clock.json"
    continued_clock(file, 1_000, 10**12, speed=1e9)
    again = continued_clock(file, 1_000, 10**12, speed=0)
    assert again.now_ms() > 1_000
    assert continued_clock(file, 1_000, 10**12, speed=0).now_ms() == again.now_ms()
    # Other data, another replay.
    assert continued_clock(file, 1_000, 10**11, speed=0).now_ms() == 1_000
    file.write_text("no record")
    assert continued_clock(file, 2_000, 10**11, speed=0).now_ms() == 2_000


def test_replay_starts_60_candles_before_its_end():
    replay = Replay([btc(), btc(rows=10, symbol="ETH/USD")])
    assert replay.start_ms() == START + (ROWS - 60) * MINUTE
    assert Replay([btc(rows=10)]).start_ms() == START


def test_markets_that_cannot_be_replayed_are_refused():
    with pytest.raises(ValueError, match="at least one market"):
        Replay([])
    with pytest.raises(ValueError, match="no candle of BTC/USD"):
        Replay([btc().slice(0, 0)])
    with pytest.raises(ValueError, match="given twice"):
        Replay([btc(), btc()])
    with pytest.raises(ValueError, match="spot market"):
        Replay([btc(symbol="BTC/USD:USD")])


def test_fault_status_outside_4xx_and_5xx_is_refused():
    with pytest.raises(ValueError, match="status must be 400 to 599, was 302"):
        Fault(kind="status", status=302)
