"""An API server that is away for a moment ends no rollout; one that refuses does, at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from urllib3.exceptions import HTTPError

from cluster.deploy import api as api_module
from cluster.deploy.api import Api
from cluster.deploy.apply import apply, differences, dry_run
from cluster.deploy.errors import DeployError
from tests.unit.deploy.fake_cluster import FakeApi, FakeKubectl

MANIFEST = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "prepare"}}


class Client:
    """Kubernetes' client: each answer is (status, body), or an error."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked = 0

    def param_serialize(self, **request: Any) -> tuple[Any, ...]:
        return (request,)

    def call_api(self, _: Any, **__: Any) -> Any:
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer

        class Response:
            status, data = answer[0], json.dumps(answer[1]).encode()

            def read(self) -> None: ...

        return Response()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)


def test_a_question_is_asked_again_while_the_server_is_away() -> None:
    client = Client(HTTPError("refused"), (503, {"message": "starting"}), (200, {"kind": "Pod"}))
    assert Api(client, "a").read("v1", "Pod", "x") == {"kind": "Pod"}
    assert client.asked == 3


def test_a_change_is_not_repeated_because_it_may_have_been_made() -> None:
    client = Client(HTTPError("refused"))
    with pytest.raises(DeployError, match="does not answer"):
        Api(client, "a").create({**MANIFEST, "apiVersion": "batch/v1"})
    assert client.asked == 1


def test_a_refusal_is_told_at_once_in_the_servers_words() -> None:
    client = Client((403, {"message": "pods is forbidden"}))
    with pytest.raises(DeployError, match="403: pods is forbidden"):
        Api(client, "a").items("v1", "Pod")
    assert client.asked == 1


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "PATIENCE_S", 0.0)
    with pytest.raises(DeployError, match="503: starting"):
        Api(Client((503, {"message": "starting"})), "a").items("v1", "Pod")


def test_an_apply_is_repeated_while_the_server_is_away_and_not_when_it_refuses() -> None:
    calls: list[str] = []

    def kubectl(*words: str, **_: Any) -> str:
        calls.append(words[0])
        raise DeployError("kubectl apply failed", evidence=(said,))

    said = "dial tcp 10.0.0.1:6443: connect: connection refused"
    with pytest.raises(DeployError):
        apply(kubectl, [MANIFEST])
    assert len(calls) == 3
    said = "strict decoding error: unknown field"
    with pytest.raises(DeployError):
        apply(kubectl, [MANIFEST])
    assert len(calls) == 4


def test_a_job_is_tried_under_another_name_and_left_out_of_differences() -> None:
    kubectl = FakeKubectl(FakeApi())
    seen: list[Any] = []
    kubectl.answer = lambda _, text: str(seen.append(json.loads(text or "{}")) or "")
    dry_run(kubectl, [MANIFEST])
    differences(kubectl, [MANIFEST])
    assert seen[0]["items"][0]["metadata"]["name"] == "prepare-dry-run"
    assert seen[1]["items"] == []


def test_nothing_to_apply_asks_nothing() -> None:
    kubectl = FakeKubectl(FakeApi())
    assert apply(kubectl, []) == []
    assert kubectl.calls == []
