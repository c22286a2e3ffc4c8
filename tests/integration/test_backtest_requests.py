"""From a backtest request on Kafka, or on the command line, to its result: once, whatever is repeated or killed."""

from __future__ import annotations

import json
import subprocess

import msgspec
import pytest
from discovery_stack import (  # noqa: F401 - fixtures are found by their names
    candles,
    current,
    job,
    pool,
    symbol,
)

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import FeeTier, Frictions, frictions_to_json
from alpharay.backtest.metrics import metrics_json
from alpharay.backtest.single import backtest_strategy
from alpharay.backtest.stops import Stops
from alpharay.bus.dead_letters import read_dead_letters
from alpharay.bus.messages import BacktestRequest
from alpharay.bus.producer import MessageProducer
from alpharay.bus.topics import BACKTEST_REQUESTS, BACKTEST_RESULTS
from alpharay.market.candles import Candles
from alpharay.market.timeframe import DAY_MS
from alpharay.settings import Settings
from alpharay.store.backtests import BacktestEnding, backtest_state, claim_backtests, end_backtests, enqueue_backtest
from alpharay.store.database import DatabasePool
from alpharay.strategies.catalogue import CATALOGUE
from alpharay.strategies.codec import strategy_to_json
from ray_jobs.consume import consume_once
from ray_jobs.queued_backtests import BacktestQueue, work_backtests

FRICTIONS = Frictions(fee_tiers=(FeeTier(volume=0.0, fee=0.003),), tick_size=0.5, lot_size=0.25)


def request_of(candles: Candles, request_id: str, **changes: object) -> BacktestRequest:
    fields: dict[str, object] = {
        "request_id": f"{candles.symbol}-{request_id}",
        "exchange": candles.exchange,
        "symbol": candles.symbol,
        "timeframe": candles.timeframe,
        "start_time": int(candles.open_time[0]),
        "end_time": int(candles.open_time[-1]) + DAY_MS,
        "strategy_name": "MACD_CROSSOVER",
        **changes,
    }
    return BacktestRequest(**fields)  # type: ignore[arg-type]


def publish(current: Settings, requests: list[BacktestRequest]) -> None:
    with MessageProducer(current.require("kafka_bootstrap_servers"), client_id="backtest-test") as producer:
        for request in requests:
            producer.publish(BACKTEST_REQUESTS, request, key=request.symbol)
        producer.flush()


def states(pool: DatabasePool, requests: list[BacktestRequest]) -> list[tuple[str, int]]:
    found = []
    with pool.connection() as connection:
        for request in requests:
            state = backtest_state(connection, request.request_id)
            found.append(("ABSENT", 0) if state is None else (state.status, state.attempts))
    return found


def test_a_request_on_kafka_becomes_the_result_of_the_same_backtest_once(
    pool: DatabasePool, current: Settings, candles: Candles
) -> None:
    parameters = {"fast": 8.0}
    plain = request_of(candles, "plain", parameters=parameters, fee=0.002)
    late = request_of(candles, "late", start_time=int(candles.open_time[600]), stop_loss=0.05)
    carried = request_of(
        candles, "carried", strategy_name="MINE", strategy=strategy_to_json(CATALOGUE["PARABOLIC_SAR"])
    )
    dear = request_of(candles, "dear", frictions=frictions_to_json(FRICTIONS))
    requests = [plain, late, carried, dear]
    publish(current, [*requests, *requests])
    consume_once(current)
    assert states(pool, requests) == [("QUEUED", 0)] * 4
    with pool.connection() as connection:
        connection.execute("DELETE FROM backtests WHERE symbol <> %s", (candles.symbol,))
    told: list[BacktestEnding] = []
    assert work_backtests(pool, "worker", on_end=told.append) == 4
    assert states(pool, requests) == [("DONE", 1)] * 4

    macd, sar = CATALOGUE["MACD_CROSSOVER"], CATALOGUE["PARABOLIC_SAR"]
    expected = [
        backtest_strategy(macd, {**macd.defaults, **parameters}, candles, costs=Costs(fee=0.002)),
        backtest_strategy(macd, macd.defaults, candles.slice(600, len(candles)), stops=Stops(stop_loss=0.05)),
        backtest_strategy(sar, sar.defaults, candles),
        backtest_strategy(macd, macd.defaults, candles, frictions=FRICTIONS),
    ]
    with pool.connection() as connection:
        for request, result in zip(requests, expected, strict=True):
            state = backtest_state(connection, request.request_id)
            assert state is not None
            assert state.result is not None
            assert state.result["metrics"] == metrics_json(result.metrics)
            assert state.result["trades"]["count"] == len(result.trades)
            assert state.result["equity"]["equity"][-1] == result.equity[-1]
        rows = connection.execute("SELECT topic, key, value FROM outbox ORDER BY id").fetchall()
    assert {row[:2] for row in rows} == {(BACKTEST_RESULTS, candles.symbol)}
    assert sorted(json.loads(row[2])["request_id"] for row in rows) == sorted(item.request_id for item in requests)

    publish(current, requests)
    consume_once(current)
    assert work_backtests(pool, "other") == 0


def test_what_can_never_run_goes_to_dead_letters_and_what_cannot_run_now_fails_with_the_reason(
    pool: DatabasePool, current: Settings, candles: Candles
) -> None:
    never = {
        "unknown-strategy": {"strategy_name": "NO_SUCH"},
        "unknown-parameter": {"parameters": {"speed": 3.0}},
        "tick-of-nothing": {"frictions": {"tick_size": 0.0}},
        "broken-order": {"parameters": {"fast": 20.0, "slow": 15.0}},
        "negative-fee": {"fee": -0.1},
        "half-a-trail": {"atr_trail_length": 14},
        "no-window": {"end_time": 0},
    }
    bad = [request_of(candles, name, **changes) for name, changes in never.items()]
    empty = request_of(candles, "empty", start_time=0, end_time=DAY_MS)
    publish(current, [*bad, empty])
    consume_once(current)
    assert states(pool, bad) == [("ABSENT", 0)] * len(bad)
    letters = read_dead_letters(current.require("kafka_bootstrap_servers"), topic=BACKTEST_REQUESTS)
    reasons = {
        json.loads(item.letter.value)["request_id"].rpartition("USD-")[2]: item.letter.reason
        for item in letters
        if item.letter.key == candles.symbol
    }
    assert reasons.keys() == never.keys()
    assert "NO_SUCH" in reasons["unknown-strategy"]
    assert "fee must be in" in reasons["negative-fee"]
    assert "tick_size must be above 0" in reasons["tick-of-nothing"]
    work_backtests(pool, "worker")
    with pool.connection() as connection:
        state = backtest_state(connection, empty.request_id)
    assert state is not None
    assert state.status == "FAILED"
    assert "at least 2 candles" in (state.error or "")


def test_a_worker_whose_lease_ended_stores_nothing(pool: DatabasePool, candles: Candles) -> None:
    request = request_of(candles, "late")
    with pool.connection() as connection:
        enqueue_backtest(connection, request)
        (late,) = claim_backtests(connection, "worker", limit=5)
        connection.execute("UPDATE backtests SET lease_until = now() - interval '1 s'")
    assert work_backtests(pool, "worker") == 1
    with pool.connection() as connection:
        assert end_backtests(connection, [BacktestEnding(late, None, "late")]) == set()
        assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (1,)
    assert states(pool, [request]) == [("DONE", 2)]


def test_a_claim_that_used_its_slice_gives_the_rest_back(pool: DatabasePool, candles: Candles) -> None:
    requests = [request_of(candles, f"{number:02}", fee=number / 1000) for number in range(5)]
    with pool.connection() as connection:
        for request in requests:
            enqueue_backtest(connection, request)
        other = request_of(candles, "other", symbol="NONE/USD")
        enqueue_backtest(connection, other)
    told: list[str] = []
    assert work_backtests(pool, "worker", on_end=lambda end: told.append(end.claimed.lease.symbol), slice_s=0.0) == 6
    # One backtest a slice, and the other symbol does not wait for all five.
    assert "NONE/USD" in told[:3]
    assert states(pool, requests) == [("DONE", 1)] * 5


@pytest.mark.slow
def test_ray_workers_run_the_queue(ray_cluster: str, pool: DatabasePool, current: Settings, candles: Candles) -> None:
    from ray_jobs.queue_worker import work_with_ray

    requests = [
        request_of(candles, f"{name}-{start}", strategy_name=name, start_time=int(candles.open_time[start]))
        for name in CATALOGUE
        for start in (0, 500)
    ]
    with pool.connection() as connection:
        for request in requests:
            enqueue_backtest(connection, request)
    told: list[str] = []
    assert work_with_ray(BacktestQueue(), current, workers=2, forever=False, tell=told.append) == len(requests)
    assert states(pool, requests) == [("DONE", 1)] * len(requests)
    assert sum("Sharpe" in line for line in told) == len(requests)


def test_the_job_answers_the_same_request_from_its_row(pool: DatabasePool, current: Settings, candles: Candles) -> None:
    arguments = ("--symbol", candles.symbol, "--strategy", "macd_crossover", "--parameters", "fast=8", "--json")
    answers = []
    for _ in range(2):
        with job(current, *arguments, out=subprocess.PIPE, module="ray_jobs.backtest") as process:
            output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        answers.append(json.loads(output))
    assert answers[0] == answers[1]
    macd = CATALOGUE["MACD_CROSSOVER"]
    result = backtest_strategy(macd, {**macd.defaults, "fast": 8.0}, candles)
    assert answers[0]["metrics"] == metrics_json(result.metrics)
    with pool.connection() as connection:
        assert connection.execute("SELECT status, attempts FROM backtests").fetchall() == [("DONE", 1)]
    with job(current, "--symbol", candles.symbol, "--strategy", "MACD_CROSSOVER", "--parameters", "fast",
             module="ray_jobs.backtest") as process:  # fmt: skip
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "name=number" in errors


def test_requests_are_readable_json(candles: Candles) -> None:
    request = request_of(candles, "json", strategy=strategy_to_json(CATALOGUE["SMA_RSI"]), take_profit=0.1)
    assert msgspec.json.decode(msgspec.json.encode(request), type=BacktestRequest) == request
