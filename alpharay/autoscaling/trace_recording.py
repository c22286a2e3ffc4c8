"""Writing syncs in the format that traces are read in, so that what was decided live can be decided again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from alpharay.autoscaling.autoscaler import AutoscalerState, Decision
from alpharay.autoscaling.horizontal_pod_autoscaler import ControllerSettings
from alpharay.autoscaling.replay import conditions_record, short_metric_name, statuses_record
from alpharay.autoscaling.samples import Pod, PodUsage, Samples, Unavailable
from alpharay.autoscaling.trace import MIB_IN_MILLI_BYTES, ONLY_CONTAINER

POD_DEFAULTS: Mapping[str, object] = {
    "phase": "Running",
    "deleting": False,
    "ready": True,
    "cpu_usage_m": None,
    "memory_usage_mib": None,
    "sample_age_s": None,
    "window_s": 0,
}


def trace_record(
    name: str,
    manifest: Mapping[str, object],
    syncs: Sequence[Mapping[str, object]],
    *,
    sync_period_s: float,
    settings: ControllerSettings,
    description: str = "",
) -> dict[str, object]:
    """Return a whole trace; `manifest` is the autoscaler's Kubernetes document."""
    return {
        "name": name,
        "description": description,
        "tags": ["live"],
        "controller": "alpharay.autoscaling",
        "sync_period_s": sync_period_s,
        "controller_config": {
            "HPAConfigurableTolerance": True,
            "HPAScaleToZero": False,
            "tolerance": settings.tolerance,
            "downscale_stabilization_s": settings.downscale_stabilization_s,
            "cpu_initialization_period_s": settings.cpu_initialization_period_s,
            "initial_readiness_delay_s": settings.initial_readiness_delay_s,
        },
        "hpa_as_written": manifest,
        "hpa": manifest,
        "pod_defaults": dict(POD_DEFAULTS),
        "syncs": list(syncs),
    }


def sync_record(
    samples: Samples, decision: Decision, state: AutoscalerState, *, epoch_ms: int = 0, restarted: bool = False
) -> dict[str, object]:
    """Return one sync: samples, decision, and the status that it left. Times are counted from `epoch_ms`.

    Pods have one container each, as replicas do. Raises ValueError for others.
    """
    known = {pod.name for pod in samples.pods}
    usages = () if isinstance(samples.usages, Unavailable) else samples.usages
    used = {usage.name: usage for usage in usages}
    gone = [name for name in {**used, **_pods_of(samples)} if name not in known]
    record: dict[str, object] = {
        "t_s": _seconds(samples.observed_ms - epoch_ms),
        "spec_replicas": samples.spec_replicas,
        "status_replicas": samples.status_replicas,
        "pods": [
            {**_pod(pod, samples.observed_ms), **_sample(pod.name, used.get(pod.name), samples)} for pod in samples.pods
        ],
        "external": {
            name: [_number(Fraction(value, 1000)) for value in series]
            for name, series in samples.external_metrics.items()
            if not isinstance(series, Unavailable)
        },
        "objects": {
            "/".join(name): _number(Fraction(value, 1000))
            for name, value in samples.object_metrics.items()
            if not isinstance(value, Unavailable)
        },
        "extra_metrics": [{"name": name, **_sample(name, used.get(name), samples)} for name in gone],
        "metric_proposal": decision.proposal,
        "proposal_metric": short_metric_name(decision.proposal_metric),
        "current_metrics": statuses_record(decision),
        "desired_replicas": decision.desired_replicas,
        "status_desired_replicas": state.desired_replicas,
        "conditions": conditions_record(decision),
        "rescaled": decision.rescaled,
        "rescale_reason": decision.rescale_reason or "",
        "errors": [] if decision.error is None else [decision.error],
    }
    if isinstance(samples.usages, Unavailable):
        record["metrics_api"] = "error"
    for name, time_ms in (("t_normalize_s", samples.normalized_ms), ("t_scaled_s", samples.scaled_ms)):
        if time_ms is not None:
            record[name] = _seconds(time_ms - epoch_ms)
    if restarted:
        record["controller_restarted"] = True
    return record


def _pods_of(samples: Samples) -> dict[str, None]:
    """Return the names of all pods that any metric of pods has a value of."""
    metrics = (values for values in samples.pods_metrics.values() if not isinstance(values, Unavailable))
    return {name: None for values in metrics for name in values}


def _pod(pod: Pod, now_ms: int) -> dict[str, Any]:
    if len(pod.requests) > 1:
        raise ValueError(f"a recorded pod has one container, {pod.name} has {len(pod.requests)}")
    readiness = pod.readiness
    requests = next(iter(pod.requests.values()), {})
    record: dict[str, Any] = {
        "name": pod.name,
        "age_s": None if pod.started_ms is None else _seconds(now_ms - pod.started_ms),
        "ready": None if readiness is None else "Unknown" if readiness.ready is None else readiness.ready,
        "ready_since_s": None if readiness is None else _seconds(now_ms - readiness.since_ms),
        "cpu_request_m": requests.get("cpu"),
        "memory_request_mib": _mebibytes(requests.get("memory")),
    }
    if pod.phase != "Running":
        record["phase"] = pod.phase
    if pod.deleting:
        record["deleting"] = True
    return record


def _sample(name: str, usage: PodUsage | None, samples: Samples) -> dict[str, Any]:
    record: dict[str, Any] = {}
    if usage is not None:
        used = usage.used.get(ONLY_CONTAINER, {})
        record["cpu_usage_m"] = used.get("cpu")
        record["memory_usage_mib"] = _mebibytes(used.get("memory"))
        record["sample_age_s"] = _seconds(samples.observed_ms - usage.sampled_ms)
        record["window_s"] = _seconds(usage.window_ms)
    custom = {
        metric: _number(Fraction(values[name], 1000))
        for metric, values in samples.pods_metrics.items()
        if not isinstance(values, Unavailable) and name in values
    }
    return {**record, "custom": custom} if custom else record


def _seconds(milliseconds: int) -> float:
    return _number(Fraction(milliseconds, 1000))


def _mebibytes(milli_bytes: int | None) -> float | None:
    return None if milli_bytes is None else _number(Fraction(milli_bytes, MIB_IN_MILLI_BYTES))


def _number(value: Fraction) -> float:
    return value.numerator if value.denominator == 1 else float(value)
