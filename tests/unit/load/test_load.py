"""A load against made-up servers: schedule, outcomes, series, drawing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpharay.load.open_load import NO_ANSWER, NOT_SENT, Outcome, run_load
from alpharay.load.page import load_page
from alpharay.load.ramp import Ramp
from alpharay.load.replica_watch import ReplicaCount, WatchedDeployment, replica_count, watch_replicas
from alpharay.load.series import LoadFigures, by_second, figures

Handler = Callable[[httpx.Request], Awaitable[httpx.Response]]


def run(handler: Handler, ramp: Ramp, **bounds: float) -> list[Outcome]:
    async def load() -> list[Outcome]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as client:
            request = client.build_request("POST", "http://service/ask", content=b"{}")
            return await run_load(client, request, ramp, **bounds)  # type: ignore[arg-type]

    return asyncio.run(load())


def test_a_constant_rate_has_even_times() -> None:
    assert list(Ramp(4.0, 4.0, 2.0).times()) == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75])


@given(st.floats(0.0, 50.0), st.floats(0.0, 50.0), st.floats(0.1, 20.0))
def test_the_requests_up_to_any_time_are_the_integral_of_the_rate(begin: float, end: float, seconds: float) -> None:
    ramp = Ramp(begin, end, seconds)
    times = list(ramp.times())
    assert len(times) == ramp.requests
    for number, due_s in enumerate(times):
        assert -1e-9 <= due_s <= seconds + 1e-6
        assert begin * due_s + (end - begin) / seconds * due_s * due_s / 2.0 == pytest.approx(number, abs=1e-4)
    assert all(earlier < later for earlier, later in pairwise(times))


@pytest.mark.parametrize(
    ("ramp", "message"),
    [
        ((-1.0, 1.0, 1.0), r"begin must be a rate of 0 to 10,000 requests a second, was -1\.0"),
        ((1.0, float("nan"), 1.0), "end must be a rate of 0 to 10,000 requests a second, was nan"),
        ((1.0, 1.0, 0.0), r"seconds must be above 0 and at most 3,600, was 0\.0"),
        ((1e6, 1.0, 1.0), r"begin must be a rate of 0 to 10,000 requests a second, was 1000000\.0"),
        ((1.0, 1.0, 1e6), r"seconds must be above 0 and at most 3,600, was 1000000\.0"),
        ((1e4, 1e4, 300.0), "a load has at most 2,000,000 requests, was 3,000,000"),
    ],
)
def test_a_load_without_bounds_is_refused(ramp: tuple[float, float, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Ramp(*ramp)


def test_every_request_is_sent_and_has_an_outcome() -> None:
    asked: list[bytes] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.content)
        return httpx.Response(200)

    outcomes = run(answer, Ramp(200.0, 400.0, 0.2))
    assert asked == [b"{}"] * 60
    assert [outcome.status for outcome in outcomes] == [200] * 60
    assert [outcome.due_s for outcome in outcomes] == list(Ramp(200.0, 400.0, 0.2).times())


def test_a_server_that_hangs_is_given_up_and_no_more_wait_than_the_bound() -> None:
    waiting, most = 0, 0

    async def hang(_request: httpx.Request) -> httpx.Response:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        try:
            await asyncio.sleep(60.0)
        finally:
            waiting -= 1
        return httpx.Response(200)

    outcomes = run(hang, Ramp(100.0, 100.0, 0.2), most_in_flight=5, timeout_s=0.5)
    assert most == 5
    assert sum(outcome.status == NO_ANSWER for outcome in outcomes) == 5
    assert sum(outcome.status == NOT_SENT for outcome in outcomes) == 15
    assert all(outcome.latency_s >= 0.5 for outcome in outcomes if outcome.status == NO_ANSWER)


def test_a_connection_that_breaks_is_no_answer() -> None:
    async def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("cut", request=request)

    assert [outcome.status for outcome in run(broken, Ramp(50.0, 50.0, 0.1))] == [NO_ANSWER] * 5


OUTCOMES = [
    Outcome(0.1, 0.010, 200),
    Outcome(0.2, 0.030, 200),
    Outcome(0.9, 0.001, 503, retry_after=True),
    Outcome(2.0, 0.001, 503),
    Outcome(2.1, 5.0, NO_ANSWER),
    Outcome(2.2, 0.0, NOT_SENT),
]


def test_seconds_tell_apart_what_was_turned_away_failed_and_not_sent() -> None:
    first, empty, last = by_second(OUTCOMES)
    assert (first.due, first.answered, first.turned_away, first.failed) == (3, 2, 1, 0)
    assert (first.p50_ms, first.p99_ms) == (30.0, 30.0)
    assert (empty.due, empty.p50_ms) == (0, None)
    assert (last.due, last.answered, last.failed, last.not_sent, last.p99_ms) == (3, 0, 2, 1, None)


def test_the_figures_add_up() -> None:
    assert figures(OUTCOMES) == LoadFigures(
        requests=6,
        answered=2,
        turned_away=1,
        failed=2,
        unanswered=1,
        not_sent=1,
        p50_ms=30.0,
        p95_ms=30.0,
        p99_ms=30.0,
    )


def test_a_load_without_requests_has_no_seconds() -> None:
    assert by_second([]) == []
    assert figures([]).p50_ms is None


DETAILS = {
    "applications": {
        "signal": {
            "deployments": {
                "SignalService": {
                    "target_num_replicas": 3,
                    "replicas": [{"state": "RUNNING"}, {"state": "STARTING"}, {"state": "RUNNING"}],
                }
            }
        }
    }
}


def test_the_dashboards_answer_tells_wanted_and_running_replicas() -> None:
    assert replica_count(DETAILS, "signal", "SignalService", 4.0) == ReplicaCount(4.0, 3, 2)


@pytest.mark.parametrize(("application", "deployment"), [("risk", "SignalService"), ("signal", "Risk")])
def test_an_unknown_deployment_is_named(application: str, deployment: str) -> None:
    with pytest.raises(LookupError, match=f"the dashboard must know {application}/{deployment}"):
        replica_count(DETAILS, application, deployment, 0.0)


@pytest.mark.parametrize("answer", [httpx.Response(503), httpx.Response(200, json={"applications": {}})])
def test_a_dashboard_that_does_not_answer_leaves_its_seconds_out(answer: httpx.Response) -> None:
    counts: list[ReplicaCount] = []

    async def watch() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer)) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(
                    watch_replicas(client, WatchedDeployment("http://head:8265/", "a", "b"), counts), 0.2
                )

    asyncio.run(watch())
    assert counts == []


def test_the_page_draws_requests_replicas_and_latency_and_loads_nothing() -> None:
    page = load_page("Load on <a>", by_second(OUTCOMES), [ReplicaCount(0.0, 1, 1), ReplicaCount(1.0, 3, 2)])
    for name in ("Requests a second", "Replicas", "Latency, milliseconds", "turned away", "wanted", "p99"):
        assert name in page
    assert 'src="http' not in page
