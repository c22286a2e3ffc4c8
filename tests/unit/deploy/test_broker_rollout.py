"""Brokers are brought up to date one by one, and never while a partition lacks a replica."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cluster.deploy.broker_rollout import REVISION, replace_brokers
from cluster.deploy.errors import DeployError
from tests.unit.deploy.dev_overlay import chosen, rendering
from tests.unit.deploy.fake_cluster import FakeApi, FakeKubectl

LACKING = "\tTopic: candles\tPartition: 0\tLeader: 1\tReplicas: 0,1,2\tIsr: 1,2\n"


class Brokers:
    """Three brokers of revision `one`; a deleted one comes back as the newest revision."""

    def __init__(self, said: Iterator[str]) -> None:
        self.api = FakeApi()
        self.kubectl = FakeKubectl(self.api)
        self.order: list[str] = []
        self.said = said
        self.kubectl.answer = self.ask
        self.manifest = chosen(rendering().manifests, "StatefulSet", "kafka")
        self.api.put("apps/v1", "StatefulSet", "kafka", spec=self.manifest["spec"], status={"updateRevision": "two"})
        for number in range(3):
            self.api.pod(f"kafka-{number}", {"app": "kafka", REVISION: "one"})
        self.api.on_delete = self.come_back

    def ask(self, words: tuple[str, ...], _: str | None) -> str:
        assert "--under-replicated-partitions" in words[-1]
        answer = next(self.said)
        self.order.append("lacking" if answer else "caught up")
        return answer

    def come_back(self, pod: dict[str, Any]) -> None:
        name = pod["metadata"]["name"]
        self.order.append(name)
        self.api.pod(name, {"app": "kafka", REVISION: "two"})

    def replace(self, timeout_s: float = 1.0) -> list[str]:
        return replace_brokers(self.kubectl, self.api, self.manifest, timeout_s=timeout_s, report=lambda *_: None)


def endless(*first: str) -> Iterator[str]:
    yield from first
    while True:
        yield ""


def test_each_broker_waits_for_the_one_before_to_catch_up() -> None:
    brokers = Brokers(endless("", LACKING, LACKING, ""))
    assert brokers.replace() == ["kafka-0", "kafka-1", "kafka-2"]
    assert brokers.order == [
        *("caught up", "kafka-0", "lacking", "lacking", "caught up", "kafka-1"),
        *("caught up", "kafka-2", "caught up"),
    ]


def test_brokers_that_are_up_to_date_are_left_alone_and_not_asked() -> None:
    brokers = Brokers(endless())
    for number in range(3):
        brokers.api.pod(f"kafka-{number}", {"app": "kafka", REVISION: "two"})
    assert brokers.replace() == []
    assert brokers.order == []


def test_no_broker_is_taken_while_a_partition_lacks_a_replica() -> None:
    brokers = Brokers(iter(lambda: LACKING, None))
    with pytest.raises(DeployError, match="1 partitions lack a replica"):
        brokers.replace(timeout_s=0.05)
    assert set(brokers.order) == {"lacking"}


def test_no_broker_is_taken_while_another_is_not_ready() -> None:
    brokers = Brokers(endless())
    brokers.api.pod("kafka-2", {"app": "kafka", REVISION: "one"}, conditions=[])
    with pytest.raises(DeployError, match="2 of 3 brokers ready") as raised:
        brokers.replace(timeout_s=0.05)
    assert brokers.order == []
    assert "pod kafka-2: not ready" in raised.value.evidence


def test_a_broker_that_does_not_answer_is_no_sign_that_partitions_caught_up() -> None:
    brokers = Brokers(endless())
    brokers.kubectl.refuses = "-n"
    with pytest.raises(DeployError, match="kafka-0 does not say: the server said no"):
        brokers.replace(timeout_s=0.05)
    assert brokers.order == []
