"""Scale a real Serve deployment from 2 to 10 replicas by load, and decide what was recorded again.

    python -m benchmarks.live_scaling              a table of the syncs
    python -m benchmarks.live_scaling --json       one JSON object
    python -m benchmarks.live_scaling --down       and down again under a light load, which takes minutes more

The autoscaler is the seeds' one of ingestion: 2 to 10 replicas at 70 % of the processor and 80 % of the memory request,
at most doubled every 30 s after a window of 60 s, one in ten fewer a minute after 300 s. What the replicas really use
decides; their declared request is small, so that two cores are enough for ten. `--speed` divides every period of it.

`unequal` counts syncs that the replay of the recording decides otherwise, `broken_chain` those that did not begin at
what the sync before decided, `strange_targets` how often Serve, asked ten times a second, aimed at anything but the
decision in force. The exit status is 1 when any of them, or `failed` requests, is above zero.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

from alpharay.autoscaling.horizontal_pod_autoscaler import ControllerSettings
from alpharay.autoscaling.replay import differences
from alpharay.autoscaling.trace import parse_trace
from alpharay.autoscaling.trace_recording import trace_record
from alpharay.load.open_load import Outcome, run_load
from alpharay.load.ramp import Ramp
from alpharay.load.series import figures
from benchmarks.local_ray import local_serve
from benchmarks.report import Figures, machine, report, versions
from cluster.local.port import LOOPBACK

LEAST, MOST = 2, 10
CPU_REQUEST = "100m"
MEMORY_REQUEST = "1Gi"
WORK_S = 0.014
RATE = 45.0
"""With `WORK_S` some 0.75 cores, Serve's own part included: more than ten replicas of 100m want at 70 %."""
LIGHT_RATE = 3.0
SYNC_PERIOD_S = 15.0
USAGE_WINDOW_S = 15.0
PATIENCE_S = 300.0
SLACK_S = 3.0
"""So much later than a sync a busy controller may have begun it, or Serve have told of it."""
APPLICATION = "busy"


@dataclass(frozen=True)
class Recording:
    """One run: its syncs, what became of the requests, and Serve's target as it was seen from outside."""

    syncs: list[dict[str, Any]]
    outcomes: list[Outcome]
    seen: list[tuple[float, int]]
    speed: int
    trace: dict[str, Any] = field(default_factory=dict)


def manifest(speed: int) -> dict[str, Any]:
    """Return the seeds' autoscaler of ingestion with every period divided by `speed`, a divisor of 15."""

    def rules(window_s: int, value: int, period_s: int) -> dict[str, Any]:
        policies = [{"type": "Percent", "value": value, "periodSeconds": period_s // speed}]
        return {"stabilizationWindowSeconds": window_s // speed, "policies": policies}

    def resource(name: str, utilization: int) -> dict[str, Any]:
        target = {"type": "Utilization", "averageUtilization": utilization}
        return {"type": "Resource", "resource": {"name": name, "target": target}}

    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "data-ingestion", "namespace": "live"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "data-ingestion"},
            "minReplicas": LEAST,
            "maxReplicas": MOST,
            "metrics": [resource("cpu", 70), resource("memory", 80)],
            "behavior": {"scaleUp": rules(60, 100, 30), "scaleDown": rules(300, 10, 60)},
        },
    }


def controller_settings(speed: int) -> dict[str, Any]:
    """Return the controller's settings, its periods divided likewise."""
    usual = ControllerSettings()
    return {
        "downscale_stabilization_s": usual.downscale_stabilization_s // speed,
        "cpu_initialization_period_s": usual.cpu_initialization_period_s // speed,
        "initial_readiness_delay_s": usual.initial_readiness_delay_s // speed,
    }


def record(port: int, folder: Path, *, speed: int, down: bool) -> Recording:
    """Deploy, load until ten replicas are wanted and run, and return the recording; raises TimeoutError."""
    from ray import serve

    from benchmarks.busy_app import DEPLOYMENT, busy_app

    app = busy_app(
        manifest(speed),
        folder,
        work_s=WORK_S,
        usage_window_s=USAGE_WINDOW_S / speed,
        report_interval_s=max(0.5, 5.0 / speed),
        cpu_request=CPU_REQUEST,
        memory_request=MEMORY_REQUEST,
        sync_period_s=SYNC_PERIOD_S / speed,
        max_sample_age_s=max(10.0, 45.0 / speed),
        settings=controller_settings(speed),
    )
    serve.run(app, name=APPLICATION, route_prefix=f"/{APPLICATION}")
    url = f"http://{LOOPBACK}:{port}/{APPLICATION}"
    journal = folder / f"{APPLICATION}-{DEPLOYMENT}.jsonl"
    with watched_target(DEPLOYMENT) as seen:
        wait_for(lambda: len(targets(journal)) >= 2, "the first two syncs")
        outcomes: list[Outcome] = []
        with loaded(url, RATE, outcomes):
            wait_for(lambda: targets(journal)[-1] == MOST, f"a target of {MOST} replicas")
            wait_for(lambda: reporting(journal) == MOST, f"reports of {MOST} replicas")
            settled = len(targets(journal))
            wait_for(lambda: len(targets(journal)) >= settled + 2, "two syncs at the top")
        if down:
            # On a starved machine reports are missing, and what is missing counts as fully used: then it stays large.
            with loaded(url, LIGHT_RATE, outcomes), contextlib.suppress(TimeoutError):
                wait_for(lambda: targets(journal)[-1] == LEAST, f"a target of {LEAST} replicas")
    syncs = from_zero(read_syncs(journal), seen)
    trace = trace_record(
        f"live_{LEAST}_to_{MOST}",
        manifest(speed),
        syncs,
        sync_period_s=SYNC_PERIOD_S / speed,
        settings=ControllerSettings(**controller_settings(speed)),
        description=f"Ray Serve under real load; every period divided by {speed}",
    )
    return Recording(syncs, outcomes, seen, speed, trace)


def findings(recording: Recording) -> Figures:
    """Return what the recording shows; a JSON round trip lies between recording and replay."""
    syncs = recording.syncs
    unequal = {one.time_s for one in differences(parse_trace(json.loads(json.dumps(recording.trace))))}
    wanted = [sync["desired_replicas"] for sync in syncs]
    return {
        "syncs": len(syncs),
        "unequal": len(unequal),
        "broken_chain": sum(after["spec_replicas"] != before["desired_replicas"] for before, after in pairwise(syncs)),
        "strange_targets": strange_targets(syncs, recording.seen),
        "targets_seen": len(recording.seen),
        "targets": [wanted[0], *(after for before, after in pairwise(wanted) if after != before)],
        "most_reporting": max(sum(is_reporting(pod) for pod in sync["pods"]) for sync in syncs),
        "load": {name: getattr(figures(recording.outcomes), name) for name in LOAD_FIGURES},
    }


LOAD_FIGURES = ("requests", "answered", "turned_away", "failed", "not_sent", "p50_ms", "p99_ms")


def strange_targets(syncs: Sequence[Mapping[str, Any]], seen: Sequence[tuple[float, int]]) -> int:
    """Count the targets that were not the decision of the newest sync, nor of one within `SLACK_S` before it."""
    strange = 0
    for at_s, target in seen:
        allowed = [
            sync["desired_replicas"]
            for sync, after in zip(syncs, [*syncs[1:], None], strict=True)
            if sync["t_s"] <= at_s and (after is None or after["t_s"] >= at_s - SLACK_S)
        ]
        strange += target not in (allowed or [LEAST])
    return strange


@contextmanager
def loaded(url: str, rate: float, outcomes: list[Outcome]) -> Iterator[None]:
    """Ask at the rate in a thread until the block ends, two seconds at a time; what became of it is in the list."""
    done = threading.Event()

    async def load() -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=30.0) as client:
            request = client.build_request("GET", url)
            began = time.monotonic()
            while not done.is_set() and time.monotonic() - began < PATIENCE_S:
                outcomes.extend(await run_load(client, request, Ramp(rate, rate, 2.0), most_in_flight=300))

    thread = threading.Thread(target=lambda: asyncio.run(load()), name="load", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(60.0)


@contextmanager
def watched_target(deployment: str) -> Iterator[list[tuple[float, int]]]:
    """Ask Serve's controller ten times a second what it aims at; times are seconds since the epoch."""
    from ray.serve.context import _get_global_client

    controller = _get_global_client()
    seen: list[tuple[float, int]] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            details = controller.get_serve_details()["applications"][APPLICATION]["deployments"][deployment]
            seen.append((time.time(), int(details["target_num_replicas"])))

    thread = threading.Thread(target=watch, name="watch", daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join(30.0)


def read_syncs(journal: Path) -> list[dict[str, Any]]:
    """Return the syncs that are written in full."""
    if not journal.exists():
        return []
    text = journal.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def targets(journal: Path) -> list[int]:
    """Return the replicas that were decided on, sync by sync; at least one."""
    return [sync["desired_replicas"] for sync in read_syncs(journal)] or [LEAST]


def is_reporting(pod: Mapping[str, Any]) -> bool:
    """Return whether the replica's processor use is known."""
    return pod.get("cpu_usage_m") is not None


def reporting(journal: Path) -> int:
    """Return how many replicas the newest sync knew the use of."""
    return sum(is_reporting(pod) for pod in read_syncs(journal)[-1]["pods"])


def from_zero(syncs: list[dict[str, Any]], seen: list[tuple[float, int]]) -> list[dict[str, Any]]:
    """Return the syncs with times counted from the first; `seen` is moved likewise."""
    epoch_ms = round(syncs[0]["t_s"] * 1000)
    seen[:] = [(at_s - epoch_ms / 1000, target) for at_s, target in seen]
    return [{**sync, "t_s": (round(sync["t_s"] * 1000) - epoch_ms) / 1000} for sync in syncs]


def wait_for(condition: Any, what: str) -> None:
    """Wait until it holds; raises TimeoutError after `PATIENCE_S`."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"not within {PATIENCE_S:.0f} s: {what}")
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--speed", type=int, choices=(1, 3, 5, 15), default=5, help="divides every period (default 5)")
    parser.add_argument("--down", action="store_true", help="wait for the scale-down too")
    parser.add_argument("--trace", type=Path, help="write the recording to this file, .json.gz")
    options = parser.parse_args()
    temporary = tempfile.TemporaryDirectory(prefix="ar-", dir="/tmp", ignore_cleanup_errors=True)
    with temporary as name, local_serve(Path(name)) as port:
        recording = record(port, Path(name) / "journal", speed=options.speed, down=options.down)
    if options.trace is not None:
        options.trace.write_bytes(gzip.compress(json.dumps(recording.trace).encode(), mtime=0))
    found = findings(recording)
    rows = [
        {
            "t_s": sync["t_s"],
            "replicas": sync["spec_replicas"],
            "reporting": sum(is_reporting(pod) for pod in sync["pods"]),
            "cpu_m": sum(pod.get("cpu_usage_m") or 0 for pod in sync["pods"]),
            "proposal": sync["metric_proposal"],
            "desired": sync["desired_replicas"],
        }
        for sync in recording.syncs
    ]
    result: Figures = {**found, "speed": options.speed, "versions": versions("ray"), "machine": machine()}
    report("live scaling", result, rows, as_json=options.json)
    wrong = [found[name] for name in ("unequal", "broken_chain", "strange_targets")]
    sys.exit(1 if any(wrong) or figures(recording.outcomes).failed else 0)


if __name__ == "__main__":
    main()
