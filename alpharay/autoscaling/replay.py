"""Holding the state machine against a trace: every sync is decided anew and compared with what was recorded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from alpharay.autoscaling.autoscaler import AutoscalerState, Decision, synchronize
from alpharay.autoscaling.proposal import MetricStatus
from alpharay.autoscaling.trace import Record, Trace

_POD_WITHOUT_REQUEST = re.compile(r" in container \S+ of Pod \S+$")


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of one sync that was decided otherwise than recorded."""

    trace: str
    time_s: float
    field: str
    recorded: object
    decided: object


def replay(trace: Trace) -> Iterator[tuple[Record, Decision, AutoscalerState]]:
    """Yield each sync's record with the decision on its samples and the state after it.

    Every sync starts from the recorded number of replicas and from the state that the replay itself has come to.
    """
    state = AutoscalerState()
    for sync in trace.syncs:
        if sync.restarted:
            state = state.after_restart()
        decision, state = synchronize(sync.autoscaler, state, sync.samples, trace.settings)
        yield sync.outcome, decision, state


def differences(trace: Trace) -> Iterator[Difference]:
    """Yield whatever the replay of a trace decides otherwise."""
    for record, decision, state in replay(trace):
        for field, (recorded, decided) in _compared(record, decision, state).items():
            if recorded != decided:
                yield Difference(trace.name, record["t_s"], field, recorded, decided)


def _compared(record: Record, decision: Decision, state: AutoscalerState) -> dict[str, tuple[object, object]]:
    """Return what is recorded and what is decided, by field; what a record leaves out is not compared."""
    compared: dict[str, tuple[object, object]] = {
        "desired_replicas": (record["desired_replicas"], decision.desired_replicas),
        "status_desired_replicas": (
            record.get("status_desired_replicas", record["desired_replicas"]),
            state.desired_replicas,
        ),
        "rescaled": (record["rescaled"], decision.rescaled),
        "rescale_reason": (record.get("rescale_reason") or "", decision.rescale_reason or ""),
        "conditions": (record["conditions"], conditions_record(decision)),
        "current_metrics": (record["current_metrics"] or [], statuses_record(decision)),
        "errors": (
            [_without_pod(error) for error in record.get("errors") or ()],
            [] if decision.error is None else [_without_pod(decision.error)],
        ),
    }
    if "metric_proposal" in record:
        compared["metric_proposal"] = (record["metric_proposal"], decision.proposal)
    if "proposal_metric" in record:
        compared["proposal_metric"] = (record["proposal_metric"], short_metric_name(decision.proposal_metric))
    return compared


def _without_pod(error: str) -> str:
    """Return the message without which of several pods has no request: the controller takes them in no fixed order."""
    return _POD_WITHOUT_REQUEST.sub("", error)


def conditions_record(decision: Decision) -> dict[str, list[str]]:
    """Return the conditions as a trace writes them."""
    return {kind: [str(condition.status), condition.reason] for kind, condition in decision.conditions.items()}


def statuses_record(decision: Decision) -> list[dict[str, object]]:
    """Return the metrics' present values as a trace writes them; an invalid metric is empty."""
    return [_status_record(status) for status in decision.statuses]


def short_metric_name(metric: str | None) -> str | None:
    """Return the metric of a proposal as a trace writes it: without what its number means."""
    return None if metric is None else metric.removesuffix(" utilization (percentage of request)")


def _status_record(status: MetricStatus | None) -> dict[str, object]:
    if status is None:
        return {}
    values = {
        "utilization": status.utilization,
        "average_value_m": status.average_milli,
        "value_m": status.total_milli,
    }
    return {"name": status.name, **{name: value for name, value in values.items() if value is not None}}
