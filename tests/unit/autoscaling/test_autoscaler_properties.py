"""What holds for every autoscaler and every load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from alpharay.autoscaling.autoscaler import AutoscalerState, Decision, synchronize
from alpharay.autoscaling.horizontal_pod_autoscaler import (
    AverageValue,
    Behavior,
    HorizontalPodAutoscaler,
    PodsMetric,
    ResourceMetric,
    ScalingPolicy,
    ScalingRules,
    Utilization,
)
from alpharay.autoscaling.samples import Pod, PodUsage, Readiness, Samples, Unavailable

POLICIES = st.builds(ScalingPolicy, st.sampled_from(["Pods", "Percent"]), st.integers(1, 200), st.integers(1, 300))
RULES = st.builds(
    ScalingRules,
    st.lists(POLICIES, min_size=1, max_size=3).map(tuple),
    st.sampled_from(["Max", "Min", "Disabled"]),
    st.sampled_from([0, 15, 30, 60, 300]),
    st.sampled_from([None, 0.0, 0.05, 0.3]),
)
METRICS = st.sampled_from(
    [
        (ResourceMetric("cpu", Utilization(70)),),
        (ResourceMetric("cpu", Utilization(70)), ResourceMetric("memory", Utilization(80))),
        (ResourceMetric("cpu", AverageValue(200)), PodsMetric("load", AverageValue(5000))),
    ]
)


@st.composite
def autoscalers(draw: st.DrawFn) -> HorizontalPodAutoscaler:
    minimum = draw(st.integers(1, 5))
    return HorizontalPodAutoscaler(
        minimum,
        minimum + draw(st.integers(0, 15)),
        draw(METRICS),
        draw(st.none() | st.builds(Behavior, RULES, RULES)),
    )


LOADS = st.lists(st.floats(0.0, 3.0), min_size=1, max_size=40)


def samples(now_ms: int, replicas: int, load: float) -> Samples:
    """Return pods that share a load evenly, each of a slightly other age."""
    requests = {"app": {"cpu": 400, "memory": 512_000}}
    pods = tuple(
        Pod(f"w-{number}", requests, started_ms=number, readiness=Readiness(ready=True, since_ms=number + 5000))
        for number in range(replicas)
    )
    used = {"app": {"cpu": round(400 * load), "memory": round(512_000 * load)}}
    return Samples(
        now_ms,
        replicas,
        replicas,
        pods,
        tuple(PodUsage(pod.name, now_ms - 5000, 15_000, used) for pod in pods),
        {"load": {pod.name: round(8000 * load) for pod in pods}},
    )


def follow(
    autoscaler: HorizontalPodAutoscaler,
    loads: Sequence[float],
    *,
    begin_ms: int = 4_000_000,
    replicas: int | None = None,
) -> tuple[list[Decision], AutoscalerState]:
    """Return the decisions under loads that come every 15 s, the target following each decision."""
    state = AutoscalerState()
    decisions: list[Decision] = []
    size = autoscaler.min_replicas if replicas is None else replicas
    for step, load in enumerate(loads):
        seen = samples(begin_ms + step * 15_000, size, load)
        decision, state = synchronize(autoscaler, state, seen)
        decisions.append(decision)
        size = decision.desired_replicas
    return decisions, state


@given(autoscalers(), LOADS)
def test_the_target_stays_within_its_bounds(autoscaler: HorizontalPodAutoscaler, loads: list[float]) -> None:
    decisions, _ = follow(autoscaler, loads)
    for decision in decisions:
        assert autoscaler.min_replicas <= decision.desired_replicas <= autoscaler.max_replicas


@given(autoscalers(), LOADS, st.integers(0, 30))
def test_a_target_out_of_bounds_is_set_to_the_nearest_bound_and_zero_is_left_alone(
    autoscaler: HorizontalPodAutoscaler, loads: list[float], replicas: int
) -> None:
    decisions, _ = follow(autoscaler, loads, replicas=replicas)
    if replicas == 0:
        assert {decision.desired_replicas for decision in decisions} == {0}
    elif not autoscaler.min_replicas <= replicas <= autoscaler.max_replicas:
        bound = autoscaler.max_replicas if replicas > autoscaler.max_replicas else autoscaler.min_replicas
        assert decisions[0].desired_replicas == bound


@given(autoscalers(), LOADS, st.integers(-(10**9), 10**12))
def test_only_time_differences_matter(autoscaler: HorizontalPodAutoscaler, loads: list[float], shift_ms: int) -> None:
    def shifted(seen: Samples) -> Samples:
        return replace(
            seen,
            observed_ms=seen.observed_ms + shift_ms,
            pods=tuple(
                replace(
                    pod,
                    started_ms=(pod.started_ms or 0) + shift_ms,
                    readiness=Readiness(ready=True, since_ms=(pod.started_ms or 0) + 5000 + shift_ms),
                )
                for pod in seen.pods
            ),
            usages=()
            if isinstance(seen.usages, Unavailable)
            else tuple(replace(usage, sampled_ms=usage.sampled_ms + shift_ms) for usage in seen.usages),
        )

    states = [AutoscalerState(), AutoscalerState()]
    size = autoscaler.min_replicas
    for step, load in enumerate(loads):
        seen = samples(4_000_000 + step * 15_000, size, load)
        here, states[0] = synchronize(autoscaler, states[0], seen)
        there, states[1] = synchronize(autoscaler, states[1], shifted(seen))
        assert here == there
        size = here.desired_replicas


@given(autoscalers(), LOADS, st.randoms(use_true_random=False))
def test_the_order_of_pods_and_samples_does_not_matter(
    autoscaler: HorizontalPodAutoscaler, loads: list[float], random: object
) -> None:
    state = AutoscalerState()
    for step, load in enumerate(loads):
        seen = samples(4_000_000 + step * 15_000, 7, load)
        pods = list(seen.pods)
        random.shuffle(pods)  # type: ignore[attr-defined]
        assert synchronize(autoscaler, state, seen) == synchronize(autoscaler, state, replace(seen, pods=tuple(pods)))
        state = synchronize(autoscaler, state, seen)[1]


@given(autoscalers(), LOADS)
def test_metrics_that_cannot_be_read_change_nothing_but_two_conditions(
    autoscaler: HorizontalPodAutoscaler, loads: list[float]
) -> None:
    _, state = follow(autoscaler, loads)
    blind = Samples(9_000_000, autoscaler.min_replicas, autoscaler.min_replicas, usages=Unavailable("away"))
    decision, after = synchronize(autoscaler, state, blind)
    assert decision.desired_replicas == autoscaler.min_replicas
    assert not decision.rescaled
    assert decision.proposal is None
    assert (after.recommendations, after.events, after.desired_replicas) == (
        state.recommendations,
        state.events,
        state.desired_replicas,
    )
    assert after.conditions["AbleToScale"].reason == "SucceededGetScale"
    assert not after.conditions["ScalingActive"].status
    assert after.conditions.get("ScalingLimited") == state.conditions.get("ScalingLimited")


@given(autoscalers(), LOADS)
def test_a_disabled_direction_is_never_taken(autoscaler: HorizontalPodAutoscaler, loads: list[float]) -> None:
    behavior = autoscaler.behavior or Behavior()
    fixed = replace(
        autoscaler,
        behavior=replace(behavior, scale_down=replace(behavior.scale_down, select_policy="Disabled")),
    )
    sizes = [decision.desired_replicas for decision in follow(fixed, loads)[0]]
    assert sizes == sorted(sizes)


@given(autoscalers(), LOADS)
def test_without_behavior_no_sync_more_than_doubles_and_none_shrinks_below_a_recent_wish(
    autoscaler: HorizontalPodAutoscaler, loads: list[float]
) -> None:
    plain = replace(autoscaler, behavior=None)
    size, wishes = plain.min_replicas, []
    for decision in follow(plain, loads)[0]:
        assert decision.desired_replicas <= max(2 * size, 4)
        assert decision.proposal is not None
        wishes.append(decision.proposal)
        recent = max(wishes[-21:])
        if decision.desired_replicas < size:
            assert decision.desired_replicas >= min(recent, plain.max_replicas)
        size = decision.desired_replicas


@settings(max_examples=20)
@given(autoscalers(), st.lists(st.floats(0.0, 3.0), min_size=1, max_size=7))
def test_the_memory_has_a_bound(autoscaler: HorizontalPodAutoscaler, loads: list[float]) -> None:
    _, state = follow(autoscaler, (loads * 300)[:300])
    # The longest window and period are 300 s here: 20 syncs, the one at the start, and the edge.
    assert len(state.recommendations) <= 22
    assert len(state.events.up) <= 22
    assert len(state.events.down) <= 22


@given(autoscalers(), LOADS)
def test_a_restart_forgets_the_history_and_keeps_the_status(
    autoscaler: HorizontalPodAutoscaler, loads: list[float]
) -> None:
    _, state = follow(autoscaler, loads)
    anew = state.after_restart()
    assert (anew.conditions, anew.desired_replicas) == (state.conditions, state.desired_replicas)
    assert (anew.recommendations, anew.events.up, anew.events.down) == ((), (), ())
