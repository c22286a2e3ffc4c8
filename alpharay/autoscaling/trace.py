"""Recorded syncs: pods, metrics and decisions, as `shared/data/hpa-traces` holds them and live recordings are written.

A trace is JSON, gzip-compressed where its name ends in `.gz`. Amounts are in milli-cores and MiB, times in seconds;
a pod's fields that equal `pod_defaults` are left out, and ages are counted back from the sync's time. Metrics of
objects are under `objects` by "KIND/NAME/METRIC".
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

from alpharay.autoscaling.horizontal_pod_autoscaler import ControllerSettings, HorizontalPodAutoscaler
from alpharay.autoscaling.manifest import read_manifest
from alpharay.autoscaling.quantity import milli_value, parse_quantity, round_up
from alpharay.autoscaling.samples import Phase, Pod, PodUsage, Readiness, Samples, Unavailable

Record = Mapping[str, Any]

ONLY_CONTAINER = "app"
"""What the container is called where a pod's record names none."""
MIB_IN_MILLI_BYTES = 2**20 * 1000
_API_ERROR = "the server is currently unable to handle the request (get pods.metrics.k8s.io)"


@dataclass(frozen=True, slots=True)
class RecordedSync:
    """One sync of a trace.

    Attributes
    ----------
    autoscaler : the specification in force, edits included.
    restarted : whether the controller began anew before this sync.
    outcome : the record itself, which holds what was decided.
    """

    autoscaler: HorizontalPodAutoscaler
    samples: Samples
    restarted: bool
    outcome: Record


@dataclass(frozen=True, slots=True)
class Trace:
    """A recording of consecutive syncs."""

    name: str
    settings: ControllerSettings
    syncs: tuple[RecordedSync, ...]


def read_trace(path: Path) -> Trace:
    """Return the trace in a JSON file."""
    return parse_trace(read_document(path))


def read_document(path: Path) -> Record:
    """Return a JSON file, which may be compressed, decoded."""
    content = path.read_bytes()
    document: Record = json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
    return document


def parse_trace(record: Record) -> Trace:
    """Return the trace of a decoded document."""
    flags = record["controller_config"]
    settings = ControllerSettings(
        tolerance=flags["tolerance"],
        downscale_stabilization_s=flags["downscale_stabilization_s"],
        cpu_initialization_period_s=flags["cpu_initialization_period_s"],
        initial_readiness_delay_s=flags["initial_readiness_delay_s"],
    )
    return Trace(record["name"], settings, tuple(_syncs(record, scale_to_zero=flags.get("HPAScaleToZero", False))))


def milliseconds(seconds: float) -> int:
    """Return whole milliseconds: times are compared exactly, and floats of seconds would not be."""
    return round(seconds * 1000)


def _syncs(record: Record, *, scale_to_zero: bool) -> Iterator[RecordedSync]:
    autoscaler = read_manifest(record["hpa"], scale_to_zero=scale_to_zero)
    for sync in record["syncs"]:
        if "hpa" in sync:
            autoscaler = read_manifest(sync["hpa"], scale_to_zero=scale_to_zero)
        samples = _samples(sync, record["pod_defaults"])
        yield RecordedSync(autoscaler, samples, bool(sync.get("controller_restarted")), sync)


def _samples(sync: Record, defaults: Record) -> Samples:
    now_ms = milliseconds(sync["t_s"])
    pods = [{**defaults, **pod} for pod in sync["pods"]]
    sampled = [*pods, *({**defaults, **sample} for sample in sync.get("extra_metrics", ()))]
    usages: tuple[PodUsage, ...] | Unavailable = tuple(
        _usage(pod, now_ms) for pod in sampled if pod["sample_age_s"] is not None
    )
    if sync.get("metrics_api") == "error":
        usages = Unavailable(_API_ERROR)
    pods_metrics: dict[str, dict[str, int]] = {}
    for pod in sampled:
        for metric, value in (pod.get("custom") or {}).items():
            if value is not None:
                pods_metrics.setdefault(metric, {})[pod["name"]] = milli_value(parse_quantity(value))
    external = {
        name: tuple(milli_value(parse_quantity(value)) for value in series)
        for name, series in (sync.get("external") or {}).items()
    }
    return Samples(
        observed_ms=now_ms,
        spec_replicas=sync["spec_replicas"],
        status_replicas=sync.get("status_replicas", sync["spec_replicas"]),
        pods=tuple(_pod(pod, now_ms) for pod in pods),
        usages=usages,
        pods_metrics=pods_metrics,
        object_metrics={
            (kind, name, metric): milli_value(parse_quantity(value))
            for path, value in (sync.get("objects") or {}).items()
            for kind, name, metric in (path.split("/"),)
        },
        external_metrics=external,
        normalized_ms=_optional_time(sync, "t_normalize_s"),
        scaled_ms=_optional_time(sync, "t_scaled_s"),
    )


def _optional_time(sync: Record, name: str) -> int | None:
    return milliseconds(sync[name]) if sync.get(name) is not None else None


def _pod(pod: Record, now_ms: int) -> Pod:
    age_s, ready, since_s = pod["age_s"], pod["ready"], pod.get("ready_since_s")
    readiness = None
    if ready is not None:
        readiness = Readiness(None if ready == "Unknown" else bool(ready), now_ms - milliseconds(since_s or 0))
    return Pod(
        name=pod["name"],
        requests={one["name"]: _amounts(one, "request") for one in _containers(pod)},
        phase=cast("Phase", pod["phase"]),
        deleting=pod["deleting"],
        started_ms=None if age_s is None else now_ms - milliseconds(age_s),
        readiness=readiness,
    )


def _usage(pod: Record, now_ms: int) -> PodUsage:
    # A container without any value is absent from the metrics: the pod's sum is then that of the others.
    return PodUsage(
        name=pod["name"],
        sampled_ms=now_ms - milliseconds(pod["sample_age_s"]),
        window_ms=milliseconds(pod["window_s"]),
        used={one["name"]: used for one in _containers(pod) if (used := _amounts(one, "usage"))},
    )


def _containers(pod: Record) -> list[Record]:
    """Return the containers' records; a pod without a list of them is its own only one."""
    listed: list[Record] | None = pod.get("containers")
    return listed if listed is not None else [{**pod, "name": ONLY_CONTAINER}]


def _amounts(container: Record, kind: str) -> dict[str, int]:
    """Return a container's requests or usages in thousandths, rounded up as the metrics client does."""
    amounts = {}
    if (cpu_m := container.get(f"cpu_{kind}_m")) is not None:
        amounts["cpu"] = round_up(Fraction(cpu_m))
    if (memory_mib := container.get(f"memory_{kind}_mib")) is not None:
        amounts["memory"] = round_up(Fraction(memory_mib) * MIB_IN_MILLI_BYTES)
    return amounts
