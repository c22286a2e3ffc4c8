"""What a Prometheus sees of the running overlay: every rule is evaluated, every panel answers, an alert arrives."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from cluster.dashboards import DASHBOARDS
from tests.kubernetes import prometheus
from tests.kubernetes.dev_cluster import (
    NAMESPACE,
    RAY_HEAD,
    RAY_WORKER,
    head,
    jobs,
    pods,
    run_job,
    serve,
    signal,
    wait_for,
)
from tests.kubernetes.node.kubectl import kubectl
from tests.kubernetes.times import record

pytestmark = [pytest.mark.usefixtures("dev"), pytest.mark.timeout(900)]

WITHOUT_DATA = {
    "Age of back-ups": "of kube-state-metrics, which the node does not have",
    "Workers lost": "a counter that begins with the first",
    "Failed statements": "a counter that begins with the first",
    "Refused at the edge": "dev asks for no keys and bounds no rate",
    "Model: predictions": "no model has been trained on candles of ten minutes",
    "Model: scores on unseen folds": "the same",
    "Age of models": "the same",
    "Processor of the workers": "of the work cluster; dev has one cluster for all",
    "Candles in the object store": "the same",
    "Book: debits less credits": "nobody trades in dev",
    "Book: balances less postings": "the same",
    "Executor's lease": "the same",
}
"""Panels of what the dev overlay does not have, and why."""

TELL_NONSENSE = """
import confluent_kafka
from alpharay.settings import settings
producer = confluent_kafka.Producer({"bootstrap.servers": settings().kafka_bootstrap_servers})
producer.produce("candles", b"no candle at all")
assert producer.flush(30) == 0
"""


@pytest.fixture(scope="module")
def seen(dev: None) -> Iterator[None]:
    """A Prometheus that has seen each application asked, well and wrongly, and the monitor's readings."""
    if not any("ray_jobs.monitor" in one["entrypoint"] and one["status"] == "RUNNING" for one in jobs()[1]):
        # Its schedule comes every five minutes.
        kubectl("-n", NAMESPACE, "create", "job", f"monitor-{int(time.time())}", "--from=cronjob/monitor")
    with prometheus.running():
        wait_for("Prometheus", lambda: prometheus.ask("/api/v1/status/buildinfo")[0]["status"] == "success", 60.0)
        wait_for("the monitor's readings", lambda: values("alpharay_monitor_reading_age_seconds"), 300.0)
        # Rates need two readings with something between them.
        for _ in range(4):
            signal("SPX")
            serve("/generate_signal", {"symbol": "nothing", "price": 1.0})
            serve("/features/SPX")
            serve("/risk/assess", {"nothing": 1})
            serve("/portfolio/orders")
            time.sleep(3.0)
        yield


def values(query: str) -> list[float]:
    """Return the values of a query's series."""
    (answer,) = prometheus.ask("/api/v1/query", [{"query": query}])
    assert answer["status"] == "success", answer
    return [float(one["value"][1]) for one in answer["data"]["result"]]


def test_every_ray_node_is_scraped(seen: None) -> None:
    def all_are() -> bool:
        return values('up{job="ray"}') == [1.0] * (len(pods(RAY_HEAD)) + len(pods(RAY_WORKER)))

    # A cluster that has just been replaced is still going.
    wait_for("all nodes and no other", all_are, 180.0)


def test_every_rule_is_evaluated(seen: None) -> None:
    def states() -> list[tuple[str, str, str]]:
        (answer,) = prometheus.ask("/api/v1/rules")
        rules = [rule for group in answer["data"]["groups"] for rule in group["rules"]]
        return [(rule["name"], rule["health"], rule.get("lastError", "")) for rule in rules]

    wait_for("every rule's first turn", lambda: all(health != "unknown" for _, health, _ in states()), 60.0)
    assert {health for _, health, _ in states()} == {"ok"}, states()


def test_every_panel_answers(seen: None) -> None:
    panels = [
        (f"{dashboard.name}: {panel.title}", panel.title, query.replace("$here", f'namespace="{NAMESPACE}"'))
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
        for query in panel.queries.values()
    ]
    empty: dict[str, str] = {}

    def all_show_something() -> bool:
        answers = prometheus.ask("/api/v1/query", [{"query": query} for _, _, query in panels])
        assert [one for one in answers if one["status"] != "success"] == []
        empty.clear()
        empty.update(
            (name, query)
            for (name, title, query), answer in zip(panels, answers, strict=True)
            if not answer["data"]["result"] and title not in WITHOUT_DATA
        )
        return not empty

    # A rate needs two readings, and on a busy machine those come late.
    deadline = time.monotonic() + 180.0
    while not all_show_something() and time.monotonic() < deadline:
        time.sleep(5.0)
    record("panels", asked=len(panels), without_data=len(empty))
    assert empty == {}


def test_what_kafka_was_told_wrongly_becomes_an_alert(seen: None) -> None:
    wait_for("a first count", lambda: values("alpharay_dead_letters_messages"), 120.0)
    started = time.monotonic()
    kubectl("-n", NAMESPACE, "exec", head(), "-c", "ray-head", "--", "python", "-c", TELL_NONSENSE, seconds=60.0)
    run_job(f"consume-{int(time.time())}", "python -m ray_jobs.consume")

    def arrived() -> bool:
        (alerts,) = prometheus.ask("/api/v2/alerts", address=prometheus.ALERTS_ADDRESS)
        return isinstance(alerts, list) and "DeadLettersRise" in {one["labels"]["alertname"] for one in alerts}

    wait_for("the alert", arrived, 240.0)
    record("a wrong message becomes an alert", seconds=time.monotonic() - started)
