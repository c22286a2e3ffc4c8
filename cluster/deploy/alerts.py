"""What needs a person: Alertmanager's word where there is one in the namespace, else the facts held against limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cluster.deploy.api import Api, path_of
from cluster.deploy.errors import DeployError
from cluster.deploy.facts import Samples, markets_of

STALE_TIMEFRAMES = 3.0
OUTBOX_SECONDS = 60.0
ANSWER_SECONDS = 60.0
_PORT = 9093


@dataclass(frozen=True)
class Alert:
    """Something that needs a person, and since when or how much."""

    name: str
    severity: str
    text: str


def active_alerts(api: Api) -> list[Alert] | None:
    """Return what the namespace's Alertmanager holds; None when there is none, or it does not answer."""
    if api.read("v1", "Service", "alertmanager") is None:
        return None
    path = path_of("v1", "Service", api.namespace, f"alertmanager:{_PORT}").replace("%3A", ":")
    try:
        found = api.ask("GET", f"{path}/proxy/api/v2/alerts", query=[("active", "true"), ("silenced", "false")])
    except DeployError:
        return None
    return [
        Alert(
            one["labels"].get("alertname", "?"),
            one["labels"].get("severity", "?"),
            one.get("annotations", {}).get("summary", ""),
        )
        for one in found
    ]


def judged(facts: Samples) -> list[Alert]:
    """Return what the monitor's facts say is wrong, by the limits of docs/observability.md."""
    alerts = [
        Alert(
            "candles are stale",
            "critical",
            f"{one.exchange} {one.symbol} {one.timeframe}: {one.timeframes:.1f} time frames",
        )
        for one in markets_of(facts)
        if one.timeframes > STALE_TIMEFRAMES
    ]
    for name, metric, is_wrong in _LIMITS:
        wrong = [(labels, value) for labels, value in facts.get(metric, ()) if is_wrong(value)]
        alerts += [Alert(name, "critical", f"{_said(labels.items())}{value:g}") for labels, value in wrong]
    return alerts


def _said(labels: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{value} " for _, value in labels)


_LIMITS: tuple[tuple[str, str, Callable[[float], bool]], ...] = (
    ("the ledger does not balance", "alpharay_ledger_imbalance", lambda value: value != 0),
    ("balances differ from their postings", "alpharay_ledger_projection_difference", lambda value: value != 0),
    ("the outbox waits, seconds", "alpharay_outbox_oldest_age_seconds", lambda value: value > OUTBOX_SECONDS),
    (
        "the broker does not answer, seconds",
        "alpharay_order_unanswered_age_seconds",
        lambda value: value > ANSWER_SECONDS,
    ),
    ("nobody executes orders, lease in seconds", "alpharay_executor_lease_seconds", lambda value: value < 0),
    ("a worker has vanished, requests", "alpharay_queue_expired_leases", lambda value: value > 0),
    ("a source does not answer", "alpharay_monitor_source_answers", lambda value: value == 0),
)
