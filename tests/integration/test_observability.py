"""What can be seen of the deployed system: one request's path in rows, logs and one trace; every documented metric."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from trace_collector import SeenSpan, TraceCollector, trace_collector

from alpharay.settings import Settings
from alpharay.store.migrate import migrate
from alpharay.telemetry.registry import exposition
from benchmarks.signal_data import store_market
from cluster.local.port import free_port

pytestmark = pytest.mark.timeout(280)

WAIT_S = 90.0
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "observability.md"
TRACE_ID, CLIENTS_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@dataclass
class System:
    """The signal service, the consumers and the monitor, and where their traces go."""

    client: httpx.Client
    database_url: str
    price: float
    collector: TraceCollector
    settings: Settings
    node_metrics: str

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(statement, values).fetchall()


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    give_up_at = time.monotonic() + WAIT_S
    while time.monotonic() < give_up_at:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"not within {WAIT_S:.0f} s: {what}")


@pytest.fixture(scope="module")
def system(stack: Any, ray_cluster: str) -> Iterator[System]:
    import ray
    from ray import serve

    from ray_jobs.event_consumers import EventConsumers
    from ray_jobs.monitor import Monitor
    from serve_apps.signal import SignalServer

    name = f"observed_{secrets.token_hex(6)}"
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    database_url = urlunsplit(urlsplit(stack.database_url)._replace(path=f"/{name}"))
    migrate(database_url)
    candles = store_market(database_url, "SOL/USD", bars=300, seed=1, names=("PARABOLIC_SAR",))
    port = free_port()
    actors: list[Any] = []
    try:
        with trace_collector() as collector:
            environment = {
                "ALPHARAY_DATABASE_URL": database_url,
                "ALPHARAY_KAFKA_BOOTSTRAP_SERVERS": stack.kafka_bootstrap_servers,
                "ALPHARAY_OTLP_ENDPOINT": collector.url,
                "ALPHARAY_OTLP_HEADERS": "authorization=Basic b2JzZXJ2ZTpvYnNlcnZl",
            }
            options = {"num_cpus": 0.1, "runtime_env": {"env_vars": environment}}
            settings = stack.settings(database_url)
            actors = [
                EventConsumers.options(**options, max_concurrency=4).remote(settings),
                Monitor.options(**options, max_concurrency=4).remote(settings, 2.0),
            ]
            serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
            # Each with its own autoscaler: its decisions are to be seen too.
            serve.run(SignalServer.options(ray_actor_options=options).bind(), name="signal", route_prefix="/")
            ray.get([actors[0].status.remote(), actors[1].reading.remote()], timeout=120)
            node = f"http://127.0.0.1:{ray.nodes()[0]['MetricsExportPort']}/metrics"
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20.0) as client:
                yield System(client, database_url, float(candles.close[-1]), collector, settings, node)
    finally:
        for actor in actors:
            ray.kill(actor)
        serve.shutdown()
        with psycopg.connect(stack.database_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_requests_path_is_one_trace_and_one_id_from_http_through_kafka_to_the_row(system: System) -> None:
    import ray

    request_id = f"request-{secrets.token_hex(8)}"
    response = system.client.post(
        "/generate_signal",
        json={"symbol": "SOL", "price": system.price},
        headers={"X-Request-ID": request_id, "traceparent": f"00-{TRACE_ID}-{CLIENTS_SPAN}-01"},
    )
    assert response.status_code == 200, response.text
    assert response.headers.get_list("x-request-id") == [request_id]

    # The row.
    found = "SELECT signal_id FROM signals WHERE correlation_id = %s"
    assert wait_for(lambda: system.rows(found, request_id), "the row") == [(response.json()["signal_id"],)]

    # The trace: each step is a child of the one before.
    wanted = ["POST /generate_signal", "generate signal", "send signals", "process signals", "INSERT postgresql"]

    def trace() -> dict[str, SeenSpan] | None:
        by_name = {span.name: span for span in system.collector.trace(TRACE_ID)}
        return by_name if set(wanted) <= set(by_name) else None

    spans = wait_for(trace, "the whole trace")
    assert spans[wanted[0]].parent_id == CLIENTS_SPAN
    for parent, child in pairwise(wanted):
        assert spans[child].parent_id == spans[parent].span_id, (parent, child)
    assert [spans[one].kind for one in wanted] == ["SERVER", "INTERNAL", "PRODUCER", "CONSUMER", "CLIENT"]
    assert {spans[one].service for one in wanted[:3]} == {"alpharay-signal"}
    assert {spans[one].service for one in wanted[3:]} == {"alpharay-jobs"}
    assert spans[wanted[0]].attributes["http.response.status_code"] == 200
    assert system.collector.headers[0]["authorization"] == "Basic b2JzZXJ2ZTpvYnNlcnZl"

    # The logs of both processes.
    folder = Path(ray._private.worker._global_node.get_logs_dir_path())

    def lines(pattern: str) -> list[dict[str, Any]]:
        texts = [file.read_text(errors="replace") for file in folder.glob(pattern)]
        return [json.loads(line) for text in texts for line in text.splitlines() if request_id in line and "{" in line]

    (answered,) = wait_for(lambda: lines("serve/requests_*"), "the line of the answer")
    assert (answered["correlation_id"], answered["trace_id"], answered["symbol"]) == (request_id, TRACE_ID, "SOL/USD")
    (written,) = wait_for(lambda: lines("worker-*.err"), "the line of the consumer")
    assert (written["event"], written["trace_id"]) == ("sink.batch_written", TRACE_ID)


def test_what_nobody_asked_for_begins_no_trace(system: System) -> None:
    roots = {span.name for span in list(system.collector.spans) if not span.parent_id}
    assert all(re.match(r"(GET|POST) /", name) for name in roots), roots


def test_an_id_that_is_no_id_is_made_harmless_and_told(system: System) -> None:
    response = system.client.get("/health", headers={"X-Request-ID": 'a"b c'})
    assert response.headers["x-correlation-id"] == "a_b_c"


@dataclass(frozen=True)
class Documented:
    """A row of the document's tables."""

    name: str
    labels: frozenset[str]


def documented() -> dict[str, Documented]:
    rows = {}
    for line in DOCUMENT.read_text().splitlines():
        found = re.match(r"\| `(alpharay_\w+)` \|([^|]*)\|", line)
        if found:
            labels = frozenset(re.findall(r"`(\w+)`", found[2]))
            assert found[1] not in rows, f"{found[1]} is documented twice"
            rows[found[1]] = Documented(found[1], labels)
    return rows


def series(text: str) -> dict[str, frozenset[str]]:
    """Return the names of an exposition as they are documented, and the labels that each was seen with."""
    found: dict[str, frozenset[str]] = {}
    for family in text_string_to_metric_families(text.replace("ray_alpharay_", "alpharay_")):
        if not family.name.startswith("alpharay_") or family.name.endswith("_created"):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels: frozenset[str] = frozenset()
        for sample in family.samples:
            labels |= set(sample.labels) - {"le"}
        found[name] = labels
    return found


RAYS_OWN = {
    "Component", "NodeAddress", "SessionName", "Version", "WorkerId", "process", "Source", "JobId", "NodeId",
    "otel_scope_name", "otel_scope_schema_url", "otel_scope_version",
}  # fmt: skip


def test_every_metric_is_documented_with_its_labels_and_every_documented_one_is_exported(system: System) -> None:
    from ray_jobs.monitor import metrics_once
    from serve_apps import autoscaling_metrics
    from serve_apps.portfolio_metrics import PortfolioMetrics
    from serve_apps.risk_metrics import RiskMetrics

    known = documented()
    assert system.client.get("/nowhere").status_code == 404
    answer = system.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    # The other two services are deployed in tests of their own, and a metric of a sync that failed has no series yet.
    others = exposition(RiskMetrics().registry, PortfolioMetrics().registry, autoscaling_metrics.REGISTRY).decode()
    scraped = {**series(answer.text), **series(others)}
    # Facts without rows, such as leases that nobody holds, have no series: the whole list is in what the job prints.
    scraped |= series(metrics_once(system.settings).decode())
    mirrored: dict[str, frozenset[str]] = {}

    def node() -> bool:
        # A histogram's parts are gauges of their own there.
        for name, labels in series(httpx.get(system.node_metrics, trust_env=False, timeout=20.0).text).items():
            mirrored[re.sub(r"_(bucket|sum|count)$", "", name)] = labels - RAYS_OWN
        wanted = {
            "alpharay_http_request_seconds",
            "alpharay_http_requests_total",
            "alpharay_autoscaling_desired_replicas",
            "alpharay_kafka_consumer_lag_messages",
            "alpharay_database_statement_seconds",
        }
        return wanted <= set(mirrored)

    wait_for(node, "the metrics of every kind of process at the node's address")
    exported = {**mirrored, **scraped}
    assert set(exported) - set(known) == set(), "exported and not documented"
    assert set(known) - set(exported) == set(), "documented and not exported"
    for name, labels in exported.items():
        assert labels <= known[name].labels, name
