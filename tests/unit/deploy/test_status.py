"""The page about a cluster: what is read, what is wrong, and what could not be asked."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from cluster.deploy.facts import Lag
from cluster.deploy.status import Status, read_status
from cluster.deploy.status_page import show, span
from tests.unit.deploy.fake_cluster import FakeApi, FakeKubectl

NOW = datetime(2026, 11, 21, 12, 10, tzinfo=UTC)
FACTS = """
# TYPE alpharay_kafka_consumer_lag_messages gauge
alpharay_kafka_consumer_lag_messages{group="candle-sink",topic="candles",partition="0"} 3
alpharay_kafka_consumer_lag_messages{group="candle-sink",topic="candles",partition="1"} 4
# TYPE alpharay_candle_age_seconds gauge
alpharay_candle_age_seconds{exchange="kraken",symbol="SOL/USD",timeframe="1m"} 90
# TYPE alpharay_ledger_imbalance gauge
alpharay_ledger_imbalance{currency="USD"} 0
"""
SERVE = {
    "applications": {
        "signal": {
            "status": "RUNNING",
            "deployments": {
                "SignalService": {
                    "status": "HEALTHY",
                    "replicas": [{"state": "RUNNING"}, {"state": "STARTING"}],
                    "target_num_replicas": 2,
                    "deployment_config": {"autoscaling_config": {"min_replicas": 1, "max_replicas": 5}},
                }
            },
        }
    }
}
NODES = [
    {"node_ip": "10.0.0.7", "is_head_node": True, "state": "ALIVE", "resources_total": {"CPU": 0, "memory": 2**31}},
    {"node_ip": "10.0.0.8", "is_head_node": False, "state": "DEAD", "resources_total": {}},
]


def bench(**system: Any) -> tuple[FakeKubectl, FakeApi]:
    api = FakeApi()
    kubectl = FakeKubectl(api)
    labels = {"ray.io/node-type": "head", "ray.io/cluster": "serving-a"}
    api.pod("serving-a-head", labels, podIP="10.0.0.7")
    answer = {"serve": SERVE, "nodes": NODES, "facts": FACTS, "errors": {}, **system}
    kubectl.answer = lambda *_: f"a line of the program's\n{json.dumps(answer)}\n"
    return kubectl, api


def page(status: Status) -> str:
    text = io.StringIO()
    show(status, Console(file=text, width=160))
    return text.getvalue()


def test_all_is_well_and_every_part_is_shown() -> None:
    status = read_status(*bench(), NOW)
    assert status.is_well
    assert status.lags == (Lag("candle-sink", "candles", 7.0),)
    (market,) = status.markets
    assert market.timeframes == 1.5
    (node,) = status.ray_nodes
    assert (node.name, node.kind) == ("serving-a-head", "head")
    (deployment,) = status.deployments
    assert (deployment.running, deployment.wanted, deployment.most) == (1, 2, 5)
    shown = page(status)
    for words in (
        "all is well",
        "serving-a-head",
        "SignalService",
        "candles → candle-sink",
        "kraken SOL/USD 1m",
        "no alert",
    ):
        assert words in shown


def test_stale_candles_and_a_ledger_out_of_balance_alert() -> None:
    facts = FACTS.replace("} 90", "} 600").replace('"USD"} 0', '"USD"} 0.01')
    status = read_status(*bench(facts=facts), NOW)
    assert [one.name for one in status.alerts] == ["candles are stale", "the ledger does not balance"]
    assert not status.is_well
    assert "kraken SOL/USD 1m: 10.0 time frames" in page(status)


def test_alertmanagers_word_is_taken_where_there_is_one() -> None:
    kubectl, api = bench()
    api.put("v1", "Service", "alertmanager")
    path = "/api/v1/namespaces/alpharay/services/alertmanager:9093/proxy/api/v2/alerts"
    alert = {"labels": {"alertname": "StaleCandles", "severity": "page"}, "annotations": {"summary": "SOL is old"}}
    api.proxied[path] = [alert]
    (found,) = read_status(kubectl, api, NOW).alerts
    assert (found.name, found.severity, found.text) == ("StaleCandles", "page", "SOL is old")


def test_without_a_head_the_pods_are_still_shown_and_the_rest_is_not_known() -> None:
    kubectl, api = bench()
    api.pod("serving-a-head", {"ray.io/node-type": "head"}, conditions=[])
    api.pod("postgres-0", {"app": "postgres"})
    status = read_status(kubectl, api, NOW)
    assert [pod.name for pod in status.pods] == ["serving-a-head", "postgres-0"] or len(status.pods) == 2
    assert not status.is_well
    assert "no Ray head is ready" in page(status)


def test_a_source_that_does_not_answer_is_told_and_is_not_well() -> None:
    status = read_status(*bench(errors={"facts": "the database does not answer"}, facts=""), NOW)
    assert not status.is_well
    assert "not known: facts: the database does not answer" in page(status)


def test_a_young_pod_may_still_start_and_an_old_one_may_not() -> None:
    kubectl, api = bench()
    labels = {"app": "exchange"}
    young = api.pod("exchange-1", labels, conditions=[])
    young["metadata"]["creationTimestamp"] = "2026-11-21T12:09:30Z"
    assert read_status(kubectl, api, NOW).is_well
    young["metadata"]["creationTimestamp"] = "2026-11-21T12:00:00Z"
    assert not read_status(kubectl, api, NOW).is_well


def test_a_schedule_whose_newest_run_failed_is_told_with_its_log() -> None:
    kubectl, api = bench()
    api.put("batch/v1", "CronJob", "score", spec={"schedule": "*/5 * * * *"}, status={})
    failed = [{"type": "Failed", "status": "True", "lastTransitionTime": "2026-11-21T12:05:00Z"}]
    job = api.put("batch/v1", "Job", "score-1", status={"conditions": failed})
    job["metadata"]["ownerReferences"] = [{"kind": "CronJob", "name": "score"}]
    status = read_status(kubectl, api, NOW)
    assert status.schedules[0].state == "failed"
    assert not status.is_well
    assert "kubectl -n alpharay logs job/score-1" in page(status)

    schedule = api.read("batch/v1", "CronJob", "score")
    assert schedule is not None
    schedule["status"]["lastSuccessfulTime"] = "2026-11-21T12:06:00Z"
    assert read_status(kubectl, api, NOW).is_well


def test_lengths_of_time_are_said_as_people_say_them() -> None:
    assert [span(one) for one in (5, 119, 600, 7200, 86400 * 3)] == ["5 s", "119 s", "10 min", "2 h", "3 days"]
