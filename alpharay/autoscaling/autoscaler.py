"""One sync of the autoscaler: specification, state and samples in, decision and next state out.

The rules are kube-controller-manager's, version 1.35 (`pkg/controller/podautoscaler`). Nothing here waits, reads a
clock or asks a server; the caller asks every 15 s, sets the target to `Decision.desired_replicas` and keeps the state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from alpharay.autoscaling.horizontal_pod_autoscaler import (
    Behavior,
    ControllerSettings,
    HorizontalPodAutoscaler,
    Metric,
    ObjectMetric,
    PodsMetric,
    ResourceMetric,
)
from alpharay.autoscaling.limits import limit, limit_with_behavior
from alpharay.autoscaling.object_metrics import propose_for_external, propose_for_object
from alpharay.autoscaling.pod_metrics import propose_for_pods, propose_for_resource
from alpharay.autoscaling.proposal import InvalidMetricError, MetricStatus, Proposal, Tolerances
from alpharay.autoscaling.rate_limits import ScaleEvents
from alpharay.autoscaling.samples import Samples
from alpharay.autoscaling.stabilization import (
    Recommendation,
    Recommendations,
    stabilize,
    stabilize_both_ways,
    window_s,
)

ABLE_TO_SCALE = "AbleToScale"
SCALING_ACTIVE = "ScalingActive"
SCALING_LIMITED = "ScalingLimited"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition's status and its reason in Kubernetes' words."""

    status: bool
    reason: str


Conditions = Mapping[str, Condition]


@dataclass(frozen=True, slots=True)
class AutoscalerState:
    """What one sync leaves to the next.

    `conditions` and `desired_replicas` are the object's status; the rest is the controller's memory.
    """

    recommendations: Recommendations = ()
    events: ScaleEvents = field(default_factory=ScaleEvents)
    conditions: Conditions = field(default_factory=dict)
    desired_replicas: int = 0

    def after_restart(self) -> AutoscalerState:
        """Return the state of a controller that begins anew: its memory is gone, the object's status stays."""
        return AutoscalerState(conditions=self.conditions, desired_replicas=self.desired_replicas)


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of one sync.

    Attributes
    ----------
    desired_replicas : what the target's replicas are set to; the current ones where nothing changes.
    proposal : the highest of the metrics' proposals before any limit; None when no metric was read or all is invalid.
    proposal_metric : the metric of that proposal.
    statuses : one for each metric, None for an invalid one; empty when no metric was read.
    error : what was wrong with the metrics; the sync goes on where the others want at least the current size.
    """

    desired_replicas: int
    rescaled: bool
    rescale_reason: str | None
    proposal: int | None
    proposal_metric: str | None
    statuses: tuple[MetricStatus | None, ...]
    conditions: Conditions
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Computed:
    """The metrics of one sync put together; `invalid` is the reason where they may not be acted on."""

    replicas: int = 0
    metric: str = ""
    statuses: tuple[MetricStatus | None, ...] = ()
    invalid: str | None = None
    error: str | None = None


_NOTHING_COMPUTED = _Computed()
_DEFAULT_SETTINGS = ControllerSettings()


def synchronize(
    autoscaler: HorizontalPodAutoscaler,
    state: AutoscalerState,
    samples: Samples,
    settings: ControllerSettings = _DEFAULT_SETTINGS,
) -> tuple[Decision, AutoscalerState]:
    """Return the decision on these samples and the state for the next sync."""
    current = samples.spec_replicas
    if not state.recommendations:
        # The size at the start is a recommendation too: it delays the first change by the window.
        state = replace(state, recommendations=(Recommendation(current, samples.observed_ms),))
    state = _with_condition(state, ABLE_TO_SCALE, True, "SucceededGetScale")
    if current == 0 and autoscaler.min_replicas != 0:
        state = _with_condition(state, SCALING_ACTIVE, False, "ScalingDisabled")
        return _settle(autoscaler, state, samples, 0, None, _NOTHING_COMPUTED)
    if current > autoscaler.max_replicas:
        reason = "Current number of replicas above Spec.MaxReplicas"
        return _settle(autoscaler, state, samples, autoscaler.max_replicas, reason, _NOTHING_COMPUTED)
    if current < autoscaler.min_replicas:
        reason = "Current number of replicas below Spec.MinReplicas"
        return _settle(autoscaler, state, samples, autoscaler.min_replicas, reason, _NOTHING_COMPUTED)
    computed = _compute(autoscaler, samples, settings)
    if computed.invalid is not None:
        state = _with_condition(state, SCALING_ACTIVE, False, computed.invalid)
        # Nothing is recorded and no status changes: the next sync decides as if this one had not been.
        return _decision(state, current, None, computed), state
    state = _with_condition(state, SCALING_ACTIVE, True, "ValidMetricFound")
    desired, state = _normalize(autoscaler, state, samples, max(0, computed.replicas), settings)
    return _settle(autoscaler, state, samples, desired, _reason(computed, current), computed)


def _compute(autoscaler: HorizontalPodAutoscaler, samples: Samples, settings: ControllerSettings) -> _Computed:
    """Return the highest proposal; with an invalid metric among them only if it does not shrink."""
    tolerances = _tolerances(autoscaler.behavior, settings)
    statuses: list[MetricStatus | None] = []
    failures: list[InvalidMetricError] = []
    replicas, title = 0, ""
    for metric in autoscaler.metrics:
        try:
            proposal = _propose(metric, samples, tolerances, autoscaler.namespace, settings)
        except InvalidMetricError as failure:
            failures.append(failure)
            statuses.append(None)
            continue
        statuses.append(proposal.status)
        if replicas == 0 or proposal.replicas > replicas:
            replicas, title = proposal.replicas, proposal.metric
    if not failures:
        return _Computed(replicas, title, tuple(statuses))
    count = len(autoscaler.metrics)
    error = f"invalid metrics ({len(failures)} invalid out of {count}), first error is: {failures[0]}"
    unusable = len(failures) >= count or replicas < samples.spec_replicas
    return _Computed(replicas, title, tuple(statuses), failures[0].reason if unusable else None, error)


def _propose(
    metric: Metric, samples: Samples, tolerances: Tolerances, namespace: str, settings: ControllerSettings
) -> Proposal:
    if isinstance(metric, ResourceMetric):
        return propose_for_resource(metric, samples, tolerances, settings)
    if isinstance(metric, PodsMetric):
        return propose_for_pods(metric, samples, tolerances, settings)
    if isinstance(metric, ObjectMetric):
        return propose_for_object(metric, samples, tolerances, namespace)
    return propose_for_external(metric, samples, tolerances, namespace)


def _normalize(
    autoscaler: HorizontalPodAutoscaler,
    state: AutoscalerState,
    samples: Samples,
    proposed: int,
    settings: ControllerSettings,
) -> tuple[int, AutoscalerState]:
    """Return the stabilised and limited size, and the state with the proposal recorded."""
    current = samples.spec_replicas
    now_ms = samples.observed_ms if samples.normalized_ms is None else samples.normalized_ms
    behavior = autoscaler.behavior
    if behavior is None:
        stable, recommendations = stabilize(state.recommendations, proposed, now_ms, settings.downscale_stabilization_s)
        held = "ScaleDownStabilized"
        desired, limited_by = limit(current, stable, autoscaler)
    else:
        stable, recommendations = stabilize_both_ways(
            state.recommendations,
            proposed,
            current,
            now_ms,
            up_window_s=window_s(behavior.scale_up, 0),
            down_window_s=window_s(behavior.scale_down, settings.downscale_stabilization_s),
        )
        held = "ScaleUpStabilized" if proposed >= current else "ScaleDownStabilized"
        desired, limited_by = limit_with_behavior(current, stable, autoscaler, behavior, state.events, now_ms)
    state = replace(state, recommendations=recommendations)
    state = _with_condition(state, ABLE_TO_SCALE, True, "ReadyForNewScale" if stable == proposed else held)
    return desired, _with_condition(state, SCALING_LIMITED, desired != stable, limited_by)


def _settle(
    autoscaler: HorizontalPodAutoscaler,
    state: AutoscalerState,
    samples: Samples,
    desired: int,
    reason: str | None,
    computed: _Computed,
) -> tuple[Decision, AutoscalerState]:
    """Return the decision, and the state with the change recorded if there is one."""
    change = desired - samples.spec_replicas
    if change == 0:
        state = replace(state, desired_replicas=desired)
        return _decision(state, desired, None, computed), state
    state = _with_condition(state, ABLE_TO_SCALE, True, "SucceededRescale")
    events = state.events
    if autoscaler.behavior is not None:
        rules = autoscaler.behavior.scale_up if change > 0 else autoscaler.behavior.scale_down
        events = events.recorded(change, samples.observed_ms if samples.scaled_ms is None else samples.scaled_ms, rules)
    state = replace(state, events=events, desired_replicas=desired)
    return _decision(state, desired, reason, computed), state


def _decision(state: AutoscalerState, desired: int, reason: str | None, computed: _Computed) -> Decision:
    acted_on = bool(computed.statuses) and computed.invalid is None
    return Decision(
        desired_replicas=desired,
        rescaled=reason is not None,
        rescale_reason=reason,
        proposal=computed.replicas if acted_on else None,
        proposal_metric=computed.metric if acted_on else None,
        statuses=computed.statuses,
        conditions=state.conditions,
        error=computed.error,
    )


def _reason(computed: _Computed, current: int) -> str:
    """Return why the count is changed, if it is: what the metrics wanted, not what the limits made of it."""
    wanted = max(0, computed.replicas)
    if wanted > current:
        return f"{computed.metric} above target"
    return "All metrics below target" if wanted < current else ""


def _tolerances(behavior: Behavior | None, settings: ControllerSettings) -> Tolerances:
    down = up = settings.tolerance
    if behavior is not None:
        down = behavior.scale_down.tolerance if behavior.scale_down.tolerance is not None else down
        up = behavior.scale_up.tolerance if behavior.scale_up.tolerance is not None else up
    return Tolerances(down, up)


def _with_condition(state: AutoscalerState, kind: str, status: bool, reason: str) -> AutoscalerState:
    return replace(state, conditions={**state.conditions, kind: Condition(status, reason)})
