"""What a replica tells of its work beside its answers: lines of log, spans, and metrics among those of its Ray node."""

from __future__ import annotations

from fastapi import FastAPI
from ray import serve
from ray.util.metrics import Gauge

from alpharay.settings import settings
from alpharay.telemetry.mirror import start_mirror
from alpharay.telemetry.trace_export import start_tracing
from serve_apps.request_log import write_beside_replica
from serve_apps.serve_log import log_through_serve


def observe_replica(application: str) -> None:
    """Log through Serve, and export spans where the settings say so; call it first of all in a replica."""
    replica = serve.get_replica_context()
    labels = {"application": replica.app_name, "deployment": replica.deployment, "replica": replica.replica_tag}
    write_beside_replica(log_through_serve(), labels)
    start_tracing(settings(), application)


def show_replica_metrics(api: FastAPI) -> None:
    """Show what `/metrics` tells among the metrics of the replica's Ray node.

    Through the proxy `/metrics` is that of some replica, another one each time; there each has its own series.
    """
    start_mirror(api.state.metrics_text, Gauge, serve.get_replica_context().replica_id.unique_id)
