"""Grafana's dashboards, written from what they show: `python -m cluster.dashboards`.

The files are in cluster/components/observability-rules/dashboards; a test keeps them as this module makes them. Panels
stand in the order in which one looks: is it used, is it quick, does it fail, what waits, what holds it up.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("components") / "observability-rules" / "dashboards"
_WIDTH, _HEIGHT, _COLUMNS = 8, 7, 3
_DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
# Chosen at the top of each page; everything shown is of one environment.
_HERE = 'namespace="$namespace"'


@dataclass(frozen=True)
class Panel:
    """One chart: queries by legend, `$here` stands for the chosen namespace; `unit` is Grafana's name of one."""

    title: str
    unit: str
    queries: dict[str, str]


@dataclass(frozen=True)
class Dashboard:
    """One page; the name is its file's, the title what Grafana lists."""

    name: str
    title: str
    panels: tuple[Panel, ...]


def quantiles(histogram: str, by: str) -> dict[str, str]:
    """Return the 50th, 90th and 99th percentile of a histogram for each value of the label `by`."""
    rate = f"sum by ({by}, le) (rate({histogram}_bucket{{$here}}[5m]))"
    return {f"p{share} {{{{{by}}}}}": f"histogram_quantile(0.{share}, {rate})" for share in (50, 90, 99)}


CLUSTER = Dashboard(
    "cluster",
    "AlphaRay: Ray clusters",
    (
        Panel("Processor", "percent", {"{{pod}}": "ray_node_cpu_utilization{$here}"}),
        Panel("Memory, share of the limit", "percentunit", {
            "{{pod}}": "ray_node_mem_used{$here} / ray_node_mem_total{$here}"}),
        Panel("Nodes", "short", {"{{ray_io_cluster}}": "count by (ray_io_cluster) (ray_node_cpu_count{$here})"}),
        Panel("Head: memory of its parts", "bytes", {
            "{{ray_io_cluster}} {{Component}}":
                'max by (ray_io_cluster, Component) (ray_component_rss_bytes{$here, ray_io_node_type="head"})',
        }),
        Panel("Actors by state", "short", {
            "{{ray_io_cluster}} {{State}}": "sum by (ray_io_cluster, State) (ray_actors{$here})"}),
        Panel("Tasks by state", "short", {
            "{{ray_io_cluster}} {{State}}": "sum by (ray_io_cluster, State) (ray_tasks{$here})"}),
        Panel("Object store", "bytes", {"{{pod}}": "sum by (pod) (ray_object_store_memory{$here})"}),
        Panel("Disk", "percent", {
            "{{pod}}": "ray_node_disk_usage{$here} / (ray_node_disk_usage{$here} + ray_node_disk_free{$here}) * 100"}),
        Panel("Workers lost", "short", {
            "{{pod}}": "sum by (pod) (increase(ray_node_manager_unexpected_worker_failure_total{$here}[15m]))"}),
    ),
)  # fmt: skip

SERVE = Dashboard(
    "serve",
    "AlphaRay: services",
    (
        Panel("Replicas: processing at once", "short", {
            "{{deployment}}": "sum by (deployment) (ray_serve_replica_processing_queries{$here})"}),
        Panel("Replicas wanted", "short", {
            "{{deployment}} decided": "max by (deployment) (alpharay_autoscaling_desired_replicas{$here})",
            "{{deployment}} asked for": "max by (deployment) (alpharay_autoscaling_proposed_replicas{$here})"}),
        Panel("Requests a second", "reqps", {
            "{{application}}": "sum by (application) (rate(alpharay_http_requests_total{$here}[5m]))"}),
        Panel("Errors, share", "percentunit", {
            "{{application}}": "alpharay:http_errors:ratio_rate5m{$here}"}),
        Panel("Answers by code", "reqps", {
            "{{application}} {{code}}": "sum by (application, code) (rate(alpharay_http_requests_total{$here}[5m]))"}),
        Panel("Refused at the edge", "reqps", {
            "{{code}}": "sum by (code) (rate(alpharay_edge_refusals_total{$here}[5m]))"}),
        Panel("Time of an answer, by application", "s", quantiles("alpharay_http_request_seconds", "application")),
        Panel("Time of a signal's component", "s", quantiles("alpharay_signal_component_request_seconds", "route")),
        Panel("Time in a deployment", "ms", quantiles("ray_serve_deployment_processing_latency_ms", "deployment")),
        Panel("Waiting at deployments", "short", {
            "{{deployment}}": "sum by (deployment) (ray_serve_deployment_queued_queries{$here})"}),
        Panel("In flight", "short", {
            "{{application}}": "sum by (application) (alpharay_http_requests_in_flight{$here})"}),
        Panel("Signals by outcome", "reqps", {
            "{{outcome}}": "sum by (outcome) (rate(alpharay_signal_requests_total{$here}[5m]))"}),
        Panel("Age of the snapshot", "s", {
            "oldest replica": "max(alpharay_signal_snapshot_age_seconds{$here})"}),
        Panel("Signals that won, 24 hours", "percentunit", {
            "after costs": "max(alpharay_signal_success_ratio{$here})"}),
        Panel("Model: predictions", "reqps", {
            "{{outcome}}": "sum by (outcome) (rate(alpharay_model_predictions_total{$here}[5m]))"}),
        Panel("Model: scores on unseen folds", "short", {
            "{{symbol}} {{timeframe}} {{score}}": "max by (symbol, timeframe, score) (alpharay_model_score{$here})"}),
        Panel("Processor of processes", "short", {
            "{{process}}": "sum by (process) (rate(alpharay_process_cpu_seconds_total{$here}[5m]))"}),
        Panel("Memory of processes", "bytes", {
            "{{process}}": "sum by (process) (alpharay_process_resident_memory_bytes{$here})"}),
        Panel("Controller: a turn of its loop", "s", {
            "{{ray_io_cluster}}": "max by (ray_io_cluster) (ray_serve_controller_control_loop_duration_s{$here})"}),
    ),
)  # fmt: skip

DISCOVERY = Dashboard(
    "discovery",
    "AlphaRay: discovery",
    (
        Panel("Requests by state", "short", {
            "{{queue}} {{status}}": "max by (queue, status) (alpharay_queue_rows{$here})"}),
        Panel("Oldest that waits", "s", {"{{queue}}": "max by (queue) (alpharay_queue_oldest_age_seconds{$here})"}),
        Panel("Left by their workers", "short", {"{{queue}}": "max by (queue) (alpharay_queue_expired_leases{$here})"}),
        Panel("Processor of the workers", "percent", {
            "{{pod}}": 'ray_node_cpu_utilization{$here, ray_io_cluster="work"}'}),
        Panel("Candles in the object store", "bytes", {
            "{{pod}}": 'sum by (pod) (ray_object_store_memory{$here, ray_io_cluster="work"})'}),
        Panel("Strategies that vote", "short", {"newest replica": "max(alpharay_signal_strategies{$here})"}),
        Panel("Stored and not yet published", "short", {"messages": "max(alpharay_outbox_waiting_messages{$here})"}),
        Panel("Age of models", "s", {
            "{{symbol}} {{timeframe}}": "max by (symbol, timeframe) (alpharay_model_age_seconds{$here})"}),
    ),
)  # fmt: skip

INGESTION = Dashboard(
    "ingestion",
    "AlphaRay: ingestion",
    (
        Panel("Age of the newest candle", "s", {
            "{{symbol}} {{timeframe}}": "max by (symbol, timeframe) (alpharay_candle_age_seconds{$here})"}),
        Panel("Candles not written yet", "short", {
            "partition {{partition}}":
                'max by (partition) (alpharay_kafka_consumer_lag_messages{$here, topic="candles"})'}),
        Panel("Refused messages", "short", {"dead letters": "max(alpharay_dead_letters_messages{$here})"}),
        Panel("Sources that answer", "short", {
            "{{source}}": "min by (source) (alpharay_monitor_source_answers{$here})"}),
        Panel("Readings that failed", "short", {
            "{{source}}": "sum by (source) (increase(alpharay_monitor_source_failures_total{$here}[15m]))"}),
        Panel("Age of the monitor's reading", "s", {"monitor": "max(alpharay_monitor_reading_age_seconds{$here})"}),
    ),
)  # fmt: skip

RISK_AND_PORTFOLIO = Dashboard(
    "risk-and-portfolio",
    "AlphaRay: risk and portfolio",
    (
        Panel("Book: debits less credits", "short", {
            "{{currency}}": "max by (currency) (alpharay_ledger_imbalance{$here})"}),
        Panel("Book: balances less postings", "short", {
            "{{currency}} {{kind}}": "max by (currency, kind) (alpharay_ledger_projection_difference{$here})"}),
        Panel("Executor's lease", "s", {"{{account}}": "max by (account) (alpharay_executor_lease_seconds{$here})"}),
        Panel("Orders under way", "short", {"{{status}}": "max by (status) (alpharay_orders_under_way{$here})"}),
        Panel("Oldest unanswered order", "s", {"order": "max(alpharay_order_unanswered_age_seconds{$here})"}),
        Panel("Accounts that are halted", "short", {
            "halted": "max(alpharay_risk_halted_accounts{$here})",
            "breakers": "max(alpharay_risk_stopped_breakers{$here})",
            "no new positions": "max(alpharay_portfolio_halted_accounts{$here})"}),
        Panel("Risk: answers", "reqps", {
            "{{route}} {{outcome}}": "sum by (route, outcome) (rate(alpharay_risk_requests_total{$here}[5m]))"}),
        Panel("Risk: time of an answer", "s", quantiles("alpharay_risk_request_seconds", "route")),
        Panel("Risk: age of its copies", "s", {
            "switches": "max(alpharay_risk_switches_age_seconds{$here})",
            "models": "max(alpharay_risk_models_age_seconds{$here})"}),
        Panel("Portfolio: answers", "reqps", {
            "{{route}} {{outcome}}": "sum by (route, outcome) (rate(alpharay_portfolio_requests_total{$here}[5m]))"}),
        Panel("Portfolio: time of an answer", "s", quantiles("alpharay_portfolio_request_seconds", "route")),
        Panel("Outcomes of signals", "short", {"{{ending}}": "max by (ending) (alpharay_signal_outcomes{$here})"}),
    ),
)  # fmt: skip

KAFKA_AND_POSTGRESQL = Dashboard(
    "kafka-and-postgresql",
    "AlphaRay: Kafka and PostgreSQL",
    (
        Panel("Messages not written yet", "short", {
            "{{group}} {{topic}}": "sum by (group, topic) (alpharay_kafka_consumer_lag_messages{$here})"}),
        Panel("Outbox: oldest", "s", {"waits for": "max(alpharay_outbox_oldest_age_seconds{$here})"}),
        Panel("Signals: published, dropped, waiting", "short", {
            "published": "sum(rate(alpharay_signal_published{$here}[5m]))",
            "dropped": "sum(alpharay_signal_dropped{$here})",
            "waiting": "sum(alpharay_signal_waiting{$here})"}),
        Panel("Connections", "short", {
            "{{pool}}": "sum by (pool) (alpharay_database_pool_connections{$here})",
            "{{pool}} idle": "sum by (pool) (alpharay_database_pool_idle_connections{$here})"}),
        Panel("Callers that wait for one", "short", {
            "{{pool}}": "sum by (pool) (alpharay_database_pool_waiting{$here})"}),
        Panel("Wait for a connection", "s", quantiles("alpharay_database_acquire_seconds", "pool")),
        Panel("Time of statements", "s", quantiles("alpharay_database_statement_seconds", "kind")),
        Panel("Failed statements", "short", {
            "{{code}}": "sum by (code) (increase(alpharay_database_statement_failures_total{$here}[15m]))"}),
        Panel("Lost connections", "short", {
            "transactions repeated": "sum(increase(alpharay_database_connection_losses_total{$here}[15m]))"}),
        Panel("Age of back-ups", "s", {
            "{{cronjob}}": "time() - max by (cronjob) (kube_cronjob_status_last_successful_time{$here})"}),
    ),
)  # fmt: skip

DASHBOARDS = (CLUSTER, SERVE, DISCOVERY, INGESTION, RISK_AND_PORTFOLIO, KAFKA_AND_POSTGRESQL)


def document(dashboard: Dashboard) -> dict[str, Any]:
    """Return the page as Grafana reads it."""
    return {
        "uid": f"alpharay-{dashboard.name}",
        "title": dashboard.title,
        "tags": ["alpharay"],
        "editable": False,
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
                {
                    "name": "namespace",
                    "type": "query",
                    "label": "Environment",
                    "datasource": _DATA_SOURCE,
                    "query": "label_values(ray_node_cpu_count, namespace)",
                    "refresh": 1,
                },
            ]
        },
        "panels": [_panel(number, panel) for number, panel in enumerate(dashboard.panels)],
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, _COLUMNS)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": _DATA_SOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {
                "refId": chr(ord("A") + position),
                "datasource": _DATA_SOURCE,
                "expr": query.replace("$here", _HERE),
                "legendFormat": legend,
            }
            for position, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def text(dashboard: Dashboard) -> str:
    """Return the content of the page's file."""
    return json.dumps(document(dashboard), indent=1) + "\n"


def main() -> None:
    """Write every page's file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for dashboard in DASHBOARDS:
        (FOLDER / f"{dashboard.name}.json").write_text(text(dashboard))


if __name__ == "__main__":
    main()
