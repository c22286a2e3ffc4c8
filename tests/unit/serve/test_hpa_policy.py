"""The Serve policy with made-up contexts and a clock that the test moves: no Ray is started."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from alpharay.autoscaling.document import AutoscalerDocumentError
from alpharay.autoscaling.horizontal_pod_autoscaler import ControllerSettings
from alpharay.autoscaling.replay import differences
from alpharay.autoscaling.trace import parse_trace
from serve_apps import autoscaling_memory
from serve_apps.autoscaling_journal import SyncJournal, journal_trace, read_journal
from serve_apps.autoscaling_memory import PolicyState
from serve_apps.autoscaling_policy import STATE, HpaPolicy, hpa_scaling
from serve_apps.replica_usage import InFlightRequests, MeasuredReplica

BEGIN_S = 1_000_000.0
SYNC_S = 15.0


def manifest(*metrics: Mapping[str, object], minimum: int = 1, maximum: int = 10, **spec: object) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {"minReplicas": minimum, "maxReplicas": maximum, "metrics": list(metrics or (IN_FLIGHT,)), **spec},
    }


IN_FLIGHT = {
    "type": "Pods",
    "pods": {"metric": {"name": "in_flight_requests"}, "target": {"type": "AverageValue", "averageValue": "5"}},
}
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}
MEMORY = {
    "type": "Resource",
    "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 80}},
}


@dataclass(frozen=True)
class Replica:
    unique_id: str


@dataclass
class Point:
    timestamp: float
    value: float


@dataclass
class FakeServe:
    """What Serve keeps of a deployment, and its loop: it calls the policy and takes its answer as the target."""

    policy: HpaPolicy
    target: int = 2
    now: float = BEGIN_S
    replicas: list[Replica] = field(default_factory=lambda: [Replica("a"), Replica("b")])
    reports: dict[str, dict[Replica, list[Point]]] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    minimum: int = 1
    maximum: int = 10
    broken: bool = False

    def report(self, metric: str, *values: float, at: float | None = None) -> None:
        timed = zip(self.replicas, values, strict=False)
        self.reports[metric] = {replica: [Point(self.now if at is None else at, value)] for replica, value in timed}

    def tick(self, seconds: float = 0.0) -> int:
        self.now += seconds
        self.target, self.state = self.policy(Context(self))
        return self.target

    @property
    def kept(self) -> PolicyState:
        state = self.state[STATE]
        assert isinstance(state, PolicyState)
        return state


class Context:
    def __init__(self, serve: FakeServe) -> None:
        self.app_name, self.deployment_name = "app", "Web"
        self.target_num_replicas = serve.target
        self.running_replicas = serve.replicas
        self.capacity_adjusted_min_replicas = serve.minimum
        self.capacity_adjusted_max_replicas = serve.maximum
        self.current_time = serve.now
        self.policy_state = serve.state
        self._serve = serve

    @property
    def raw_metrics(self) -> dict[str, dict[Replica, list[Point]]]:
        if self._serve.broken:
            raise RuntimeError("no metrics today")
        return self._serve.reports

    @property
    def aggregated_metrics(self) -> object:
        raise AssertionError("aggregates repeat the last report of a silent replica")


@pytest.fixture(autouse=True)
def _no_memory() -> Iterator[None]:
    autoscaling_memory._states.clear()
    yield
    autoscaling_memory._states.clear()


def serving(*metrics: Mapping[str, object], **policy: Any) -> FakeServe:
    serve = FakeServe(HpaPolicy(manifest=manifest(*metrics), **policy))
    serve.tick()
    return serve


def test_the_first_sync_is_one_period_after_the_first_call_and_the_target_is_held_until_then() -> None:
    serve = serving()
    serve.report("in_flight_requests", 20, 20)
    assert [serve.tick(5.0), serve.tick(5.0), serve.tick(4.9)] == [2, 2, 2]
    assert serve.kept.syncs == 0
    serve.report("in_flight_requests", 20, 20)
    assert serve.tick(0.2) == 4
    assert serve.kept.syncs == 1


def test_between_two_syncs_the_target_is_held_whatever_is_reported() -> None:
    serve = serving()
    serve.report("in_flight_requests", 5, 5)
    assert serve.tick(SYNC_S) == 2
    serve.report("in_flight_requests", 50, 50)
    assert [serve.tick(1.0) for _ in range(14)] == [2] * 14
    assert serve.tick(1.0) == 4


def test_current_is_the_target_and_not_what_runs() -> None:
    serve = serving()
    serve.target = 4
    # Two of the four wanted are still starting: they count as pending, so the proposal is for those that report.
    serve.report("in_flight_requests", 5, 5)
    assert serve.tick(SYNC_S) == 4
    serve.report("in_flight_requests", 9, 9)
    # 9 of 5 over two pods would be four; the pending two count as idle then: nothing to add.
    assert serve.tick(SYNC_S) == 4


def test_cpu_is_a_share_of_the_declared_request() -> None:
    serve = serving(CPU, cpu_request="500m")
    for _ in range(2):
        serve.now += SYNC_S
        serve.report("cpu_cores", 0.7, 0.7)
        serve.report("cpu_window_s", 15.0, 15.0)
        serve.report("process_started_s", BEGIN_S - 3600, BEGIN_S - 3600)
        serve.tick()
    # 140 % of 70 %: twice as many.
    assert serve.target == 4


def test_cpu_of_a_replica_that_has_just_become_ready_does_not_count_until_a_whole_window_has_passed() -> None:
    serve = serving(CPU, cpu_request="500m")
    serve.now += SYNC_S
    serve.report("cpu_cores", 2.0, 2.0)
    serve.report("cpu_window_s", 15.5, 15.5)
    serve.report("process_started_s", BEGIN_S - 20, BEGIN_S - 20)
    assert serve.tick() == 2
    assert serve.kept.autoscaler.conditions["ScalingActive"].reason == "FailedGetResourceMetric"


def test_memory_is_a_share_of_the_declared_request() -> None:
    serve = serving(MEMORY, memory_request="100Mi")
    serve.now += SYNC_S
    serve.report("memory_bytes", 160 * 2**20, 160 * 2**20)
    assert serve.tick() == 4


def test_a_stale_report_is_none_and_its_replica_counts_as_missing() -> None:
    serve = serving()
    serve.report("in_flight_requests", 50, 50)
    # 45 s later both are too old: no metric, no change.
    serve.now += 46.0
    assert serve.tick() == 2
    assert serve.kept.autoscaler.conditions["ScalingActive"].reason == "FailedGetPodsMetric"
    serve.report("in_flight_requests", 20, 20)
    serve.reports["in_flight_requests"][serve.replicas[1]][-1].timestamp -= 60.0
    # One reports 20 of 5, the silent one counts as idle: the mean of ten asks for four.
    assert serve.tick(SYNC_S) == 4


def test_a_report_of_a_replica_that_is_gone_is_not_counted() -> None:
    serve = serving()
    serve.report("in_flight_requests", 5, 5)
    serve.reports["in_flight_requests"][Replica("gone")] = [Point(serve.now, 500)]
    assert serve.tick(SYNC_S) == 2


def test_an_error_holds_the_target_is_counted_and_does_not_end_the_policy() -> None:
    serve = serving()
    serve.broken = True
    assert serve.tick(SYNC_S) == 2
    assert serve.kept.errors == 1
    assert "no metrics today" in str(serve.kept.last_error)
    # Once a period, not ten times a second.
    assert [serve.tick(1.0) for _ in range(14)] == [2] * 14
    assert serve.kept.errors == 1
    serve.broken = False
    serve.now += 1.0
    serve.report("in_flight_requests", 20, 20)
    assert serve.tick() == 4


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_report_that_is_no_number_holds_the_target(value: float) -> None:
    serve = serving()
    serve.report("in_flight_requests", value, value)
    assert serve.tick(SYNC_S) == 2
    assert serve.kept.errors == 1


def test_history_survives_a_redeploy_with_another_manifest() -> None:
    serve = serving()
    serve.report("in_flight_requests", 20, 20)
    assert serve.tick(SYNC_S) == 4
    before = serve.kept.autoscaler
    # Serve makes a new policy and empties its state.
    serve.policy, serve.state = HpaPolicy(manifest=manifest(maximum=6)), {}
    serve.maximum = 6
    serve.tick(1.0)
    assert serve.kept.autoscaler == before
    assert not serve.kept.restarted


def test_a_new_controller_says_that_history_is_lost_and_begins_anew() -> None:
    serve = serving()
    serve.report("in_flight_requests", 20, 20)
    serve.tick(SYNC_S)
    serve.state = {}
    autoscaling_memory._states.clear()
    assert serve.tick(1.0) == 4
    assert serve.kept.restarted
    assert serve.kept.autoscaler.recommendations == ()


def test_syncs_stay_on_their_grid_and_a_late_one_moves_it() -> None:
    serve = serving()
    serve.tick(15.07)
    assert serve.kept.due_ms == round((BEGIN_S + 30.0) * 1000)
    serve.tick(50.0)
    assert serve.kept.due_ms == round((BEGIN_S + 15.07 + 50.0 + 15.0) * 1000)


def test_a_clock_that_is_set_back_does_not_stop_the_syncs() -> None:
    serve = serving()
    serve.tick(SYNC_S)
    serve.tick(-3600.0)
    serve.tick(SYNC_S)
    assert serve.kept.syncs == 2


def test_bounds_that_serve_has_lowered_while_it_shifts_capacity_hold() -> None:
    serve = serving()
    serve.minimum, serve.maximum = 1, 3
    serve.report("in_flight_requests", 50, 50)
    assert serve.tick(SYNC_S) == 3


def test_without_capacity_the_target_stays_zero() -> None:
    serve = serving()
    serve.minimum = serve.maximum = serve.target = 0
    serve.replicas = []
    assert serve.tick(SYNC_S) == 0
    assert serve.kept.autoscaler.conditions["ScalingActive"].reason == "ScalingDisabled"


def test_the_journal_is_a_trace_that_is_decided_alike(tmp_path: Path) -> None:
    serve = FakeServe(
        HpaPolicy(
            manifest=manifest(IN_FLIGHT, CPU, MEMORY, behavior={}),
            cpu_request="500m",
            memory_request="1Gi",
            journal_folder=str(tmp_path),
        )
    )
    serve.tick()
    for step in range(12):
        serve.now += SYNC_S + step / 100
        serve.maximum = 10 if step < 6 else 5
        serve.replicas = [Replica(f"r{index}") for index in range(serve.target)]
        busy = [1.25 + 11.0 / (1 + (step - 4) ** 2)] * serve.target
        for metric, value in (("in_flight_requests", 1.0), ("cpu_cores", 0.0371), ("cpu_window_s", 2.0)):
            serve.report(metric, *(one * value for one in busy), at=serve.now - 1.234)
        serve.report("memory_bytes", *(one * 2**24 + 4096 for one in map(int, busy)))
        serve.tick()
    path = tmp_path / "app-Web.jsonl"
    asyncio.run(_until(lambda: path.exists() and len(read_journal(path)) == 12))
    trace = parse_trace(journal_trace(path, sync_period_s=SYNC_S, settings=ControllerSettings()))
    assert list(differences(trace)) == []
    assert len({sync.outcome["desired_replicas"] for sync in trace.syncs}) > 2
    assert [sync.outcome["t_s"] for sync in trace.syncs if "hpa" in sync.outcome] == [
        trace.syncs[0].outcome["t_s"],
        trace.syncs[6].outcome["t_s"],
    ]
    assert serve.kept.errors == 0


async def _until(condition: Any) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the journal was not written within ten seconds")


def test_a_journal_whose_disk_does_not_keep_up_drops_and_counts(tmp_path: Path) -> None:
    blocked = tmp_path / "a-file"
    blocked.write_text("not a folder")
    journal = SyncJournal(blocked)
    journal.append("app", "Web", {"t_s": 1})
    asyncio.run(_until(lambda: journal.dropped == 1))


def test_an_empty_journal_is_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_text("")
    with pytest.raises(ValueError, match=r"must hold a sync.*was empty"):
        journal_trace(path, sync_period_s=SYNC_S, settings=ControllerSettings())


def test_scaling_hands_everything_to_the_manifest() -> None:
    config = hpa_scaling(manifest(minimum=2, maximum=6), report_interval_s=5.0)
    assert (config.min_replicas, config.max_replicas) == (2, 6)
    assert (config.upscale_delay_s, config.downscale_delay_s, config.downscale_to_zero_delay_s) == (0.0, 0.0, None)
    assert (config.upscaling_factor, config.downscaling_factor) == (None, None)
    assert config.get_upscaling_factor() == config.get_downscaling_factor() == 1.0
    policy = config.policy.get_policy()
    assert policy.__name__ == "HpaPolicy"
    assert isinstance(policy(**json.loads(json.dumps(config.policy.policy_kwargs))), policy)


@pytest.mark.parametrize(
    ("metric", "policy", "message"),
    [
        (CPU, {}, "a Utilization target needs cpu_request.*was None"),
        (MEMORY, {"cpu_request": "1"}, "a Utilization target needs memory_request"),
        (CPU, {"cpu_request": "half"}, "a quantity is a number with a unit.*was 'half'"),
        (CPU, {"cpu_request": "1", "sync_period_s": 0}, "sync_period_s must be above zero, was 0"),
        (
            {"type": "External", "external": {"metric": {"name": "lag"}, "target": {"type": "Value", "value": 1}}},
            {},
            "metrics of type Resource and Pods only",
        ),
    ],
)
def test_a_policy_that_could_not_work_is_refused_where_the_deployment_is_defined(
    metric: Mapping[str, object], policy: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        hpa_scaling(manifest(metric), **policy)


def test_a_wrong_manifest_is_refused_where_the_deployment_is_defined() -> None:
    with pytest.raises(AutoscalerDocumentError, match=r"spec\.maxReplicas must be at least minReplicas, 4, was 2"):
        hpa_scaling(manifest(minimum=4, maximum=2))


def test_requests_in_flight_are_counted_until_their_answer_is_complete() -> None:
    in_flight = InFlightRequests()
    seen: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(in_flight.count)
        if scope.get("fails"):
            raise RuntimeError("broken handler")

    async def ask(scope: dict[str, object]) -> None:
        await in_flight.counted(app)(scope, None, None)  # type: ignore[arg-type]

    asyncio.run(ask({"type": "http"}))
    asyncio.run(ask({"type": "lifespan"}))
    with pytest.raises(RuntimeError, match="broken handler"):
        asyncio.run(ask({"type": "http", "fails": True}))
    assert seen == [1, 0, 1]
    assert in_flight.count == 0


def test_a_replica_reports_numbers_only() -> None:
    replica = MeasuredReplica()
    replica.in_flight.count = 3
    stats = asyncio.run(replica.record_autoscaling_stats())
    assert all(type(value) is float for value in stats.values())
    assert stats["in_flight_requests"] == 3.0
    assert stats["memory_bytes"] > 2**20
    assert stats["cpu_window_s"] >= 0.0


def test_what_is_remembered_has_a_bound() -> None:
    for number in range(autoscaling_memory.MOST_REMEMBERED + 5):
        autoscaling_memory.remember("app", f"D{number}", PolicyState(due_ms=number))
    assert autoscaling_memory.recall("app", "D4") is None
    assert autoscaling_memory.recall("app", "D5") == PolicyState(due_ms=5)
