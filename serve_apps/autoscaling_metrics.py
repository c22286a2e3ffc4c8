"""The autoscaling policies' decisions: metrics of Serve's controller, in which they run."""

from __future__ import annotations

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge
from ray.util.metrics import Gauge as RayGauge

from alpharay.autoscaling.autoscaler import Decision
from alpharay.telemetry.mirror import start_mirror
from alpharay.telemetry.registry import exposition

_LABELS = ("application", "deployment")
REGISTRY = CollectorRegistry()
_DESIRED = Gauge(
    "alpharay_autoscaling_desired_replicas", "Replicas that the autoscaler decided on.", _LABELS, registry=REGISTRY
)
_PROPOSED = Gauge(
    "alpharay_autoscaling_proposed_replicas",
    "Replicas that the metrics ask for, before limits.",
    _LABELS,
    registry=REGISTRY,
)
_CONDITION = Gauge(
    "alpharay_autoscaling_condition",
    "The autoscaler's conditions: 1 true, 0 false.",
    (*_LABELS, "condition"),
    registry=REGISTRY,
)
_ERRORS = Counter("alpharay_autoscaling_errors", "Syncs that failed and held the target.", _LABELS, registry=REGISTRY)


def show_decision(app: str, deployment: str, decision: Decision) -> None:
    """Show what the metrics ask for, where they can be read, and what the limits leave of it."""
    _mirror()
    _DESIRED.labels(app, deployment).set(decision.desired_replicas)
    if decision.proposal is not None:
        _PROPOSED.labels(app, deployment).set(decision.proposal)
    for kind, condition in decision.conditions.items():
        _CONDITION.labels(app, deployment, kind).set(float(condition.status))


def count_error(app: str, deployment: str) -> None:
    """Count a sync that failed and held the target."""
    _mirror()
    _ERRORS.labels(app, deployment).inc()


@cache
def _mirror() -> None:
    """Show them among the metrics of the controller's Ray node: it has no HTTP side of its own."""
    start_mirror(lambda: exposition(REGISTRY), RayGauge, "serve-controller")
