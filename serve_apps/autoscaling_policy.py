"""Ray Serve deployments that scale as a Kubernetes HorizontalPodAutoscaler would.

    @serve.deployment(autoscaling_config=hpa_scaling(manifest, cpu_request="500m", memory_request="512Mi"))
    class RiskManager(MeasuredReplica): ...

Between two syncs the target is held. Whatever goes wrong in a sync is counted and holds the target too: a policy that
raises would stall Serve's whole controller. What differs from a pod: usage is that of the replica's process tree, not
of a container; a replica is ready as soon as Serve counts it as running; one that starts is a pending pod.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from ray.serve.config import AutoscalingConfig, AutoscalingPolicy

from alpharay.autoscaling.autoscaler import synchronize
from alpharay.autoscaling.horizontal_pod_autoscaler import (
    ControllerSettings,
    HorizontalPodAutoscaler,
    PodsMetric,
    ResourceMetric,
    Utilization,
)
from alpharay.autoscaling.manifest import read_manifest
from alpharay.autoscaling.quantity import milli_value, parse_quantity
from alpharay.autoscaling.trace_recording import sync_record
from serve_apps.autoscaling_journal import SyncJournal
from serve_apps.autoscaling_memory import PolicyState, recall, remember
from serve_apps.autoscaling_metrics import count_error, show_decision
from serve_apps.replica_samples import DeclaredRequests, ScalingContext, replica_samples

STATE = "alpharay"
"""Under which name the policy's state travels in Serve's `policy_state`."""
_log = logging.getLogger("ray.serve")


class HpaPolicy:
    """A deployment's policy: Serve calls it about ten times a second, and it decides every `sync_period_s`.

    Parameters
    ----------
    manifest : the HorizontalPodAutoscaler as Kubernetes has it; metrics of type Resource and Pods.
    cpu_request, memory_request : what one replica is said to need ("500m", "512Mi"); needed for a Utilization target.
    sync_period_s : the controller's sync period.
    max_sample_age_s : a replica's report counts as missing when it is older.
    journal_folder : where each sync is written as a line of a trace; None writes nothing.
    """

    def __init__(
        self,
        *,
        manifest: Mapping[str, object],
        cpu_request: str | None = None,
        memory_request: str | None = None,
        sync_period_s: float = 15.0,
        max_sample_age_s: float = 45.0,
        journal_folder: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._autoscaler = read_manifest(manifest)
        self._declared = DeclaredRequests(_milli(cpu_request), _milli(memory_request))
        self._settings = ControllerSettings(**settings or {})
        self._sync_period_ms = round(sync_period_s * 1000)
        self._max_sample_age_s = max_sample_age_s
        self._manifest = manifest
        self._journaled: HorizontalPodAutoscaler | None = None
        self._journal = None if journal_folder is None else SyncJournal(Path(journal_folder))
        if self._sync_period_ms < 1:
            raise ValueError(f"sync_period_s must be above zero, was {sync_period_s}")
        _check_metrics(self._autoscaler, self._declared)

    def __call__(self, context: ScalingContext) -> tuple[int, dict[str, Any]]:
        """Return the replicas that Serve shall aim at, and the state for the next call."""
        target = context.target_num_replicas
        now_ms = round(context.current_time * 1000)
        state = self._state(context, now_ms)
        try:
            state = replace(state, first_seen_ms=_seen(context, state, now_ms))
            if now_ms >= state.due_ms:
                target, state = self._synchronize(context, state, now_ms)
        except Exception as error:  # noqa: BLE001 - nothing may leave a policy
            due_ms = now_ms + self._sync_period_ms
            state = replace(state, due_ms=due_ms, errors=state.errors + 1, last_error=repr(error))
            count_error(context.app_name, context.deployment_name)
            _log.warning("autoscaling of %s held at %s: %r", context.deployment_name, target, error)
        remember(context.app_name, context.deployment_name, state)
        return target, {STATE: state}

    def _state(self, context: ScalingContext, now_ms: int) -> PolicyState:
        """Return the state from the last call, from before a redeploy, or a new one, which is said."""
        state = context.policy_state.get(STATE) or recall(context.app_name, context.deployment_name)
        if isinstance(state, PolicyState):
            # The clock may have been set back, or the period been shortened.
            return replace(state, due_ms=min(state.due_ms, now_ms + self._sync_period_ms))
        _log.info("autoscaling of %s begins without a history, as after a restart", context.deployment_name)
        # As in Kubernetes the first sync is one period after the autoscaler was seen.
        return PolicyState(due_ms=now_ms + self._sync_period_ms)

    def _synchronize(self, context: ScalingContext, state: PolicyState, now_ms: int) -> tuple[int, PolicyState]:
        # On the grid of periods, so that windows and policies of whole periods mean what they say.
        at_ms = state.due_ms if now_ms - state.due_ms < self._sync_period_ms else now_ms
        autoscaler = replace(
            self._autoscaler,
            # The same as the manifest's unless Serve shifts capacity between two clusters. At no capacity the target is
            # zero, and scaling disabled.
            min_replicas=max(1, context.capacity_adjusted_min_replicas),
            max_replicas=max(1, context.capacity_adjusted_max_replicas),
        )
        samples = replica_samples(
            context,
            autoscaler,
            self._declared,
            now_ms=at_ms,
            first_seen_ms=state.first_seen_ms,
            max_age_s=self._max_sample_age_s,
        )
        decision, after = synchronize(autoscaler, state.autoscaler, samples, self._settings)
        show_decision(context.app_name, context.deployment_name, decision)
        if self._journal is not None:
            record = sync_record(samples, decision, after, restarted=state.restarted)
            if autoscaler != self._journaled:
                record["hpa"] = _bounded(self._manifest, autoscaler)
                self._journaled = autoscaler
            self._journal.append(context.app_name, context.deployment_name, record)
        due_ms = at_ms + self._sync_period_ms
        return decision.desired_replicas, replace(
            state, due_ms=due_ms, autoscaler=after, restarted=False, syncs=state.syncs + 1
        )


def hpa_scaling(
    manifest: Mapping[str, object],
    *,
    report_interval_s: float = 5.0,
    **policy: Any,
) -> AutoscalingConfig:
    """Return a deployment's `autoscaling_config`: the manifest decides alone, Serve adds no delay and no factor.

    `report_interval_s` is how often replicas report; the other arguments are those of `HpaPolicy`. Raises
    AutoscalerDocumentError or ValueError here, where the deployment is defined, and not in Serve's controller.
    """
    HpaPolicy(manifest=manifest, **{**policy, "journal_folder": None})
    autoscaler = read_manifest(manifest)
    return AutoscalingConfig(
        min_replicas=autoscaler.min_replicas,
        max_replicas=autoscaler.max_replicas,
        metrics_interval_s=report_interval_s,
        look_back_period_s=3 * report_interval_s,
        upscale_delay_s=0.0,
        downscale_delay_s=0.0,
        policy=AutoscalingPolicy(policy_function=HpaPolicy, policy_kwargs={"manifest": manifest, **policy}),
    )


def _bounded(manifest: Mapping[str, object], autoscaler: HorizontalPodAutoscaler) -> dict[str, object]:
    """Return the manifest with the bounds that are in force."""
    bounds = {"minReplicas": autoscaler.min_replicas, "maxReplicas": autoscaler.max_replicas}
    return {**manifest, "spec": {**cast("Mapping[str, object]", manifest["spec"]), **bounds}}


def _seen(context: ScalingContext, state: PolicyState, now_ms: int) -> dict[str, int]:
    names = [replica.unique_id for replica in context.running_replicas]
    return {name: state.first_seen_ms.get(name, now_ms) for name in names}


def _milli(quantity: str | None) -> int | None:
    return None if quantity is None else milli_value(parse_quantity(quantity))


def _check_metrics(autoscaler: HorizontalPodAutoscaler, declared: DeclaredRequests) -> None:
    for metric in autoscaler.metrics:
        if isinstance(metric, PodsMetric):
            continue
        if not isinstance(metric, ResourceMetric) or metric.container is not None:
            raise ValueError(f"a replica has metrics of type Resource and Pods only, was {metric}")
        if metric.resource not in ("cpu", "memory"):
            raise ValueError(f"a replica's resources are cpu and memory, was {metric.resource!r}")
        if isinstance(metric.target, Utilization) and metric.resource not in declared.by_resource():
            raise ValueError(
                f"a Utilization target needs {metric.resource}_request, what one replica is said to need; was None"
            )
