"""The dev overlay with one `kubectl apply`, and from there to a served signal: nothing is replaced by a fake.

The tests build on each other, in their order: one cluster is brought up once. Its exchange's days last ten seconds
(fast_exchange), so that candles come all the time; all else is the overlay as it is.
"""

from __future__ import annotations

import time

import pytest

from tests.kubernetes.dev_cluster import (
    NAMESPACE,
    apply_overlay,
    jobs,
    run_job,
    serve,
    signal,
    symbols,
    wait_for,
    wait_until_ready,
)
from tests.kubernetes.node.kubectl import kubectl
from tests.kubernetes.times import record

pytestmark = pytest.mark.usefixtures("kubernetes")


@pytest.mark.smoke
def test_the_overlay_is_taken_and_every_pod_becomes_ready() -> None:
    started = time.monotonic()
    told = apply_overlay()
    assert "rayservice.ray.io/serving serverside-applied" in told
    wait_until_ready()
    record("every pod ready", seconds=time.monotonic() - started)


@pytest.mark.smoke
def test_three_brokers_hold_each_topic() -> None:
    pod = [*("-n", NAMESPACE, "exec", "kafka-0", "--", "/opt/kafka/bin/kafka-topics.sh")]
    told = kubectl(*pod, "--bootstrap-server", "kafka-0.kafka:9092", "--describe", "--topic", "candles", seconds=60.0)
    lines = [line for line in told.splitlines() if "Isr:" in line]
    assert len(lines) == 4
    for line in lines:
        in_sync = line.split("Isr:")[1].split()[0]
        assert sorted(in_sync.split(",")) == ["0", "1", "2"]


@pytest.mark.smoke
def test_the_three_applications_answer() -> None:
    for path in ("/health", "/risk/health", "/portfolio/health"):
        status, answer = serve(path)
        assert (status, answer) == (200, {"status": "alive"}), path


@pytest.mark.smoke
def test_a_stranger_without_the_token_is_refused() -> None:
    assert jobs(token="wrong")[0] in {401, 403}
    assert jobs()[0] == 200


@pytest.mark.smoke
def test_candles_flow_from_the_exchange_to_a_served_signal() -> None:
    # The schedule has had the actors made; the candles' way is theirs.
    started = time.monotonic()
    wait_for("both markets", lambda: symbols() >= {"SPX/USD", "IXIC/USD"})
    _, answer = wait_for("a signal", lambda: (said := signal("SPX"))[0] == 200 and said, 120.0)
    record("first signal after that", seconds=time.monotonic() - started)
    assert answer["symbol"] == "SPX/USD"
    assert answer["action"] in {"BUY", "SELL", "HOLD"}


def test_a_submitted_discovery_is_served() -> None:
    started = time.monotonic()
    market = "--symbol SPX --timeframe 1d"
    search = "--strategies MACD_CROSSOVER --population 20 --generations 3 --seed 1 --workers 1"
    run_job(f"discovery-{int(time.time())}", f"python -m ray_jobs.discover {market} {search}")
    run_job(f"consume-{int(time.time())}", "python -m ray_jobs.consume")
    _, answer = wait_for(
        "a strategy's vote", lambda: (said := signal("SPX"))[0] == 200 and said[1]["strategies"] and said, 180.0
    )
    record("discovery submitted and served", seconds=time.monotonic() - started)
    assert {one["name"] for one in answer["strategies"]} == {"MACD_CROSSOVER"}
