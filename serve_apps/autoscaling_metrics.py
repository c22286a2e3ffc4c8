"""The autoscaling policies' decisions in Ray's metrics, beside Serve's own."""

from __future__ import annotations

from functools import cache

from ray.util.metrics import Counter, Gauge

from alpharay.autoscaling.autoscaler import Decision

_TAGS = ("application", "deployment")


def show_decision(app: str, deployment: str, decision: Decision) -> None:
    """Show what the metrics ask for, where they can be read, and what the limits leave of it."""
    tags = {"application": app, "deployment": deployment}
    _desired().set(decision.desired_replicas, tags=tags)
    if decision.proposal is not None:
        _proposed().set(decision.proposal, tags=tags)
    for kind, condition in decision.conditions.items():
        _condition().set(float(condition.status), tags={**tags, "condition": kind})


def count_error(app: str, deployment: str) -> None:
    """Count a sync that failed and held the target."""
    _errors().inc(1, tags={"application": app, "deployment": deployment})


@cache
def _desired() -> Gauge:
    return Gauge("alpharay_autoscaling_desired_replicas", "Replicas that the autoscaler decided on.", _TAGS)


@cache
def _proposed() -> Gauge:
    return Gauge("alpharay_autoscaling_proposed_replicas", "Replicas that the metrics ask for, before limits.", _TAGS)


@cache
def _condition() -> Gauge:
    names = (*_TAGS, "condition")
    return Gauge("alpharay_autoscaling_condition", "The autoscaler's conditions: 1 true, 0 false.", names)


@cache
def _errors() -> Counter:
    return Counter("alpharay_autoscaling_errors", "Syncs that failed and held the target.", _TAGS)
