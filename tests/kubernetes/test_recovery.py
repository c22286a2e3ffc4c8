"""Every part is killed in turn while signals are asked for and candles come; each time all is as it should be again.

What users see is counted at a constant rate of questions. What is stored is held against the exchange's own candles.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.dev_cluster import (
    NAMESPACE,
    RAY_HEAD,
    RAY_WORKER,
    active_cluster,
    head,
    is_ready,
    pods,
    serve,
    wait_for,
)
from tests.kubernetes.node.kubectl import kubectl
from tests.kubernetes.signal_load import SignalLoad, asked_all_the_time
from tests.kubernetes.stored import DAY_MS, exchange_now_ms, newest_closed, stored
from tests.kubernetes.times import record

pytestmark = [pytest.mark.usefixtures("dev"), pytest.mark.timeout(900)]

ASKED_EVERY_S = 0.5
PATIENCE_S = 10.0
STEADY_S = 10.0
RECOVERY_SECONDS = 300.0
# The exchange's days last ten seconds, and a round of the ingestion takes its time.
LAG_MS = DAY_MS

REPLICA = "ray::ServeReplica:signal"
KILL_REPLICA = f"""
import os, psutil, signal
found = [one for one in psutil.process_iter(["cmdline"]) if "".join(one.info["cmdline"] or ()).startswith("{REPLICA}")]
assert found, "no replica of the signal application runs here"
for one in found:
    os.kill(one.pid, signal.SIGKILL)
print(len(found))
"""


def kill_pod(name: str) -> None:
    """End a pod as a machine that is switched off does: no one is asked, nothing is handed over."""
    kubectl("-n", NAMESPACE, "delete", "pod", name, "--grace-period=0", "--force", "--wait=false")


def kill_first(selector: str) -> None:
    kill_pod(pods(selector)[0]["metadata"]["name"])


def serving_worker() -> str:
    """Return the worker that has the replicas: only where one is, a worker is Ready."""
    found = pods(f"{RAY_WORKER},ray.io/cluster={active_cluster()}")
    return next(pod["metadata"]["name"] for pod in found if is_ready(pod))


def kill_replica() -> None:
    kubectl("-n", NAMESPACE, "exec", serving_worker(), "-c", "ray-worker", "--", "python", "-c", KILL_REPLICA)


def kill_controller_broker() -> None:
    """The broker that leads the quorum: its partitions and the quorum need new leaders."""
    command = ["/opt/kafka/bin/kafka-metadata-quorum.sh", "--bootstrap-server", "kafka-1.kafka:9092", "describe"]
    told = kubectl("-n", NAMESPACE, "exec", "kafka-1", "--", *command, "--status", seconds=60.0)
    leader = next(line.split()[1] for line in told.splitlines() if line.startswith("LeaderId"))
    kill_pod(f"kafka-{leader}")


KILLS: dict[str, tuple[Callable[[], None], tuple[str, ...]]] = {
    "Serve replica": (kill_replica, ()),
    "Valkey of the limits": (lambda: kill_first("app=valkey"), ("app=valkey",)),
    "one broker": (kill_controller_broker, ("app=kafka",)),
    "PostgreSQL": (lambda: kill_pod("postgres-0"), ("app=postgres",)),
    "worker pod": (lambda: kill_pod(serving_worker()), (RAY_WORKER,)),
    "head pod": (lambda: kill_pod(head()), (RAY_HEAD,)),
    # A head that loses its Redis never connects again: it ends, and another one begins from what the new Valkey read.
    "Valkey of Ray's state": (lambda: kill_pod("ray-state-0"), ("app=ray-state", RAY_HEAD)),
}
"""Each part: how it is killed, and of which pods there must be another one afterwards."""


def ready(selector: str) -> set[str]:
    """Return the identities of a selector's Ready pods."""
    return {pod["metadata"]["uid"] for pod in pods(selector) if is_ready(pod)}


@pytest.fixture(scope="module")
def load(dev: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignalLoad]:
    """Questions all the time, from before the first kill to after the last."""
    _, known = serve("/status")
    close = next(one["candle_close"] for one in known["markets"] if one["symbol"] == "SPX/USD")
    file: Path = tmp_path_factory.mktemp("asked") / "answers.jsonl"
    with asked_all_the_time(file, ASKED_EVERY_S, "SPX", close, patience_s=PATIENCE_S) as asked:
        yield asked


@pytest.mark.parametrize("part", KILLS)
def test_what_is_killed_comes_back_and_nothing_is_lost_or_doubled(part: str, load: SignalLoad) -> None:
    kill, replaced = KILLS[part]
    wait_for("steady signals", lambda: load.steady(STEADY_S), RECOVERY_SECONDS)
    wait_for("stored candles", caught_up, RECOVERY_SECONDS)
    before = {selector: ready(selector) for selector in replaced}
    killed_at = time.time()
    kill()
    for selector, known in before.items():
        wait_for(f"another of {selector}", lambda: len(now := ready(selector)) >= len(known) and now - known)  # noqa: B023
    ready_at = time.time()
    wait_for("steady signals", lambda: load.steady(STEADY_S, killed_at), RECOVERY_SECONDS)
    asked_until = exchange_now_ms()
    found = wait_for(
        "newer candles",
        lambda: (now := stored()) and now.last >= newest_closed(asked_until) and now,
        RECOVERY_SECONDS,
    )
    candles_at = time.time()
    failed = load.failed(killed_at)
    served_at = max((one["at"] + one["seconds"] for one in failed), default=killed_at)
    record(
        part,
        pod_ready_seconds=ready_at - killed_at,
        failed_requests=len(failed),
        answers=sorted({one["status"] for one in failed}),
        signals_seconds=served_at - killed_at,
        candles_seconds=candles_at - killed_at,
        candles=found.rows,
        checksums={name: one["checksum"] for name, one in found.markets.items()},
    )
    assert found.wrong() == {}


def test_signals_that_were_answered_are_stored_once(load: SignalLoad) -> None:
    answered = [one["signal_id"] for one in load.answers() if one["status"] == 200]
    assert len(answered) == len(set(answered))
    before = {one["signal_id"] for one in load.answers() if one["status"] == 200 and one["at"] < time.time() - 30.0}

    def missing() -> set[str] | None:
        now = stored()
        return None if now is None else before - now.signals

    wait_for("what is answered to be stored", lambda: (lost := missing()) is not None and len(lost) <= LOST_AT_MOST)
    lost = missing()
    record("signals stored", answered=len(answered), lost=len(lost or ()))


LOST_AT_MOST = 200
"""A replica that is killed takes with it what it had answered and not yet sent."""


def caught_up() -> Any:
    now = stored()
    return now is not None and now.last >= newest_closed(exchange_now_ms() - LAG_MS) and now.wrong() == {}
