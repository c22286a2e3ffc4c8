"""The short test and the load: what is asked of a live cluster, and what is made of its answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from cluster.deploy.errors import DeployError
from cluster.deploy.load import Load, load_test
from cluster.deploy.smoke import smoke_test
from tests.unit.deploy.fake_cluster import FakeApi, FakeKubectl

ALIVE = [200, {"status": "alive"}]
KNOWN = [200, {"markets": [{"symbol": "SOL/USD", "candle_close": 101.5}]}]


class Cluster:
    """A cluster whose head's pod answers."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self.api = FakeApi()
        self.kubectl = FakeKubectl(self.api)
        self.api.pod("head", {"ray.io/node-type": "head"})
        self.questions: list[Any] = []

        def respond(words: tuple[str, ...], text: str | None) -> str:
            assert words[2:5] == ("exec", "-i", "head")
            self.questions.append(json.loads(text or ""))
            return json.dumps(answer(self.questions[-1]))

        self.kubectl.answer = respond


def answers(stranger: int = 401, signal: Any = (200, {"action": "BUY"})) -> Callable[[Any], Any]:
    def answer(questions: Any) -> Any:
        return [signal] if len(questions) == 1 else [ALIVE, ALIVE, ALIVE, [stranger, "no"], KNOWN]

    return answer


def test_a_healthy_cluster_passes_and_is_asked_at_its_last_close() -> None:
    cluster = Cluster(answers())
    trials = smoke_test(cluster.kubectl, cluster.api)
    assert all(one.passed for one in trials), trials
    assert cluster.questions[1][0][2] == {"symbol": "SOL/USD", "price": 101.5}


def test_a_stranger_who_is_let_in_fails_the_test() -> None:
    cluster = Cluster(answers(stranger=200))
    failed = [one.name for one in smoke_test(cluster.kubectl, cluster.api) if not one.passed]
    assert failed == ["a stranger without a token is refused jobs"]


@pytest.mark.parametrize("signal", [(503, "stale_data"), (200, {"action": "MAYBE"}), (0, "timed out")])
def test_a_signal_that_is_none_fails_the_test(signal: Any) -> None:
    cluster = Cluster(answers(signal=signal))
    assert [one.name for one in smoke_test(cluster.kubectl, cluster.api) if not one.passed] == ["a signal is served"]


def test_a_key_is_sent_along_and_stays_out_of_arguments() -> None:
    cluster = Cluster(answers())
    smoke_test(cluster.kubectl, cluster.api, "secret-key")
    assert cluster.questions[0][4][3] == {"X-API-Key": "secret-key"}
    assert not any("secret-key" in word for words in cluster.kubectl.calls for word in words)


def test_without_candles_it_is_said_that_there_is_no_market_yet() -> None:
    cluster = Cluster(lambda _: [ALIVE, ALIVE, ALIVE, [401, ""], [200, {"markets": []}]])
    assert smoke_test(cluster.kubectl, cluster.api)[-1].said.startswith("no market yet")


def test_a_load_is_passed_on_with_its_key_on_standard_input() -> None:
    cluster = Cluster(lambda _: {"failed": 0, "replicas": []})
    load = Load("/health", 5.0, 20.0, 30.0, key="secret-key")
    assert load_test(cluster.kubectl, cluster.api, load)["failed"] == 0
    (words,) = cluster.questions
    assert words[:7] == [
        "http://serving-serve-svc:8000/health",
        "--rate",
        "5.0",
        "--ramp-to",
        "20.0",
        "--seconds",
        "30.0",
    ]
    assert "X-API-Key:secret-key" in words
    assert not any("secret-key" in word for said in cluster.kubectl.calls for word in said)


def test_a_path_that_is_none_is_refused() -> None:
    cluster = Cluster(lambda _: {})
    with pytest.raises(DeployError, match="--path must begin with /, was 'health'"):
        load_test(cluster.kubectl, cluster.api, Load("health", 1.0, 1.0, 1.0))


def test_an_answer_that_is_no_json_is_told() -> None:
    cluster = Cluster(lambda _: {})
    cluster.kubectl.answer = lambda *_: "Traceback"
    with pytest.raises(DeployError, match="did not answer in JSON"):
        smoke_test(cluster.kubectl, cluster.api)
