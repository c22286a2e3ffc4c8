"""A schedule submits one job a period, however often it fires, and whatever the cluster answers in between."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster import submit as module
from cluster.submit import main, submission_id, submit

NOON = datetime(2026, 11, 21, 12, 3, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("every", "expected"), [(1, "score-202611211203"), (5, "score-202611211200"), (60, "score-202611211200")]
)
def test_an_id_is_the_name_and_the_minute_in_which_the_period_began(every: int, expected: str) -> None:
    assert submission_id("score", every, NOON) == expected


@given(st.integers(1, 1440), st.integers(0, 10**6))
def test_two_moments_share_an_id_only_within_one_period(every: int, seconds: int) -> None:
    later = NOON + timedelta(seconds=seconds)
    same = submission_id("a", every, NOON) == submission_id("a", every, later)
    period = 60 * every
    assert same == (int(NOON.timestamp()) // period == int(later.timestamp()) // period)


class Cluster:
    """A Jobs API that knows what was submitted, and fails as often as it is told."""

    def __init__(self, failures: list[int] | None = None) -> None:
        self.jobs: dict[str, str] = {}
        self.asked_for: dict[str, dict[str, object]] = {}
        self.failures = failures or []
        self.tokens: set[str | None] = set()

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.tokens.add(request.headers.get("authorization"))
        if self.failures:
            return httpx.Response(self.failures.pop(0))
        if request.method == "GET":
            return httpx.Response(200 if request.url.path.rsplit("/", 1)[1] in self.jobs else 404)
        body = json.loads(request.content)
        assert body["submission_id"] not in self.jobs
        self.jobs[body["submission_id"]] = body["entrypoint"]
        self.asked_for[body["submission_id"]] = {
            name.removeprefix("entrypoint_"): value for name, value in body.items() if name.startswith("entrypoint_")
        }
        return httpx.Response(200, json=body)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url="http://head:8265", transport=httpx.MockTransport(self.answer))


def test_the_same_id_again_is_one_job() -> None:
    cluster = Cluster()
    with cluster.client() as client:
        assert submit(client, "a-1", ["python", "-m", "ray_jobs.score", "a b"])
        assert not submit(client, "a-1", ["python"])
    assert cluster.jobs == {"a-1": "python -m ray_jobs.score 'a b'"}


def test_what_computes_gets_a_processor_of_its_groups_and_all_else_runs_on_the_head() -> None:
    cluster = Cluster()
    with cluster.client() as client:
        submit(client, "a-1", ["python"])
        submit(client, "a-2", ["python"], groups="cpu-optimised,spot")
    assert cluster.asked_for == {
        "a-1": {},
        "a-2": {"num_cpus": 1, "label_selector": {"alpharay.dev/group": "in(cpu-optimised,spot)"}},
    }


def test_a_head_that_is_being_replaced_is_asked_again() -> None:
    cluster = Cluster(failures=[503, 502])
    with cluster.client() as client:
        assert submit(client, "a-1", ["true"])
    assert list(cluster.jobs) == ["a-1"]


def test_a_refusal_is_not_repeated() -> None:
    cluster = Cluster(failures=[404, 401])
    with cluster.client() as client, pytest.raises(httpx.HTTPStatusError, match="401"):
        submit(client, "a-1", ["true"])
    assert cluster.failures == []
    assert cluster.jobs == {}


def test_a_head_that_stays_away_ends_the_waiting() -> None:
    cluster = Cluster(failures=[503] * 100)
    with cluster.client() as client, pytest.raises(httpx.HTTPStatusError, match="503"):
        submit(client, "a-1", ["true"], patience_s=0.2)


def test_the_command_says_what_became_of_the_job_and_shows_the_token(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Cluster()
    real = httpx.Client
    monkeypatch.setenv("ALPHARAY_RAY_DASHBOARD_URL", "http://head:8265")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "t0ken")
    monkeypatch.setattr(
        module.httpx, "Client", lambda **options: real(**options, transport=httpx.MockTransport(cluster.answer))
    )
    assert main(["score", "--every", "5", "--", "python", "-m", "ray_jobs.score", "--json"]) == 0
    assert main(["score", "--every", "5", "--", "python", "-m", "ray_jobs.score", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(": submitted")
    assert next(iter(cluster.jobs.values())) == "python -m ray_jobs.score --json"
    assert cluster.tokens == {"Bearer t0ken"}


def test_a_period_below_a_minute_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["score", "--every", "0", "--", "true"])
    assert "--every must be at least 1, was 0" in capsys.readouterr().err
