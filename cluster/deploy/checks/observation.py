"""Monitoring and alerting configured."""

from __future__ import annotations

from cluster.deploy.checks.verdict import Live, Verdict, cannot_tell, fails, passes

_OPERATOR = "monitoring.coreos.com/v1"


def someone_watches(live: Live) -> Verdict:
    """Pass when Prometheus and Alertmanager run here; of one elsewhere only what it should take is seen."""
    monitors = [*live.api.items(_OPERATOR, "PodMonitor"), *live.api.items(_OPERATOR, "ServiceMonitor")]
    rules = live.api.items(_OPERATOR, "PrometheusRule")
    alerts = sum(
        "alert" in rule for one in rules for group in one["spec"].get("groups", ()) for rule in group.get("rules", ())
    )
    own = {
        name
        for kind in ("Deployment", "StatefulSet")
        for one in live.api.items("apps/v1", kind)
        if (name := one["metadata"]["name"]) in {"prometheus", "alertmanager"} and one["status"].get("readyReplicas")
    }
    if own == {"prometheus", "alertmanager"}:
        return passes("Prometheus and Alertmanager run in the namespace")
    if monitors and alerts:
        return cannot_tell(
            f"{len(monitors)} monitors and {alerts} alerts are there; whether a Prometheus takes them is not seen here",
            "ask it: up{namespace=...} must have series, and /rules the alerts",
        )
    return fails(
        f"{len(monitors)} monitors, {alerts} alerts, {', '.join(sorted(own)) or 'no Prometheus'} in the namespace",
        "use the component observability-rules, or observability where the cluster has no Prometheus",
    )
