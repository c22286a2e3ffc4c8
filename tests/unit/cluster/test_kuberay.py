"""KubeRay's objects from Python: what is asked of the API server, and what is said when it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kubernetes.client import ApiException

from cluster import kuberay
from cluster.kuberay import (
    RAY_JOB,
    RAY_SERVICE,
    ClusterError,
    KubeRay,
    cluster_is_ready,
    job_has_ended,
    job_succeeded,
    service_is_ready,
)

MANIFEST = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": "work"}, "spec": {"rayVersion": "2"}}
GROUPS = [
    {"groupName": "general", "replicas": 1, "minReplicas": 1, "maxReplicas": 3},
    {"groupName": "memory", "replicas": 0, "minReplicas": 0, "maxReplicas": 1},
]


class Objects:
    """Kubernetes' client for custom objects, as far as it is asked here."""

    def __init__(self, answer: Any = None, error: ApiException | None = None) -> None:
        self.answer = answer
        self.error = error
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        def ask(**arguments: Any) -> Any:
            self.asked.append((name, arguments))
            if self.error is not None:
                raise self.error
            return self.answer

        return ask


def refused(status: int, message: str) -> ApiException:
    error = ApiException(status=status, reason="Refused")
    error.body = json.dumps({"message": message})
    return error


def test_applying_is_done_by_the_server_under_our_name() -> None:
    objects = Objects(MANIFEST)
    KubeRay(objects, None, "alpharay").apply(MANIFEST)
    ((called, arguments),) = objects.asked
    assert called == "patch_namespaced_custom_object"
    assert arguments["_content_type"] == "application/apply-patch+yaml"
    assert arguments["field_manager"] == "alpharay"
    assert (arguments["group"], arguments["plural"], arguments["name"]) == ("ray.io", "rayclusters", "work")
    assert arguments["_request_timeout"] > 0


def test_what_is_none_of_kuberays_is_refused_before_anything_is_asked() -> None:
    objects = Objects()
    with pytest.raises(ClusterError, match="was 'Pod' of 'v1'"):
        KubeRay(objects, None, "a").apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}})
    assert objects.asked == []


def test_a_refusal_tells_what_the_server_said() -> None:
    ray = KubeRay(Objects(error=refused(422, "spec.bogus: unknown field")), None, "a")
    with pytest.raises(ClusterError, match=r"RayCluster work: 422 Refused: spec\.bogus: unknown field"):
        ray.apply(MANIFEST)


def test_deleting_what_is_gone_is_no_error_and_what_is_forbidden_is_one() -> None:
    KubeRay(Objects(error=refused(404, "not found")), None, "a").delete(RAY_JOB, "x")
    with pytest.raises(ClusterError, match="403"):
        KubeRay(Objects(error=refused(403, "no")), None, "a").delete(RAY_JOB, "x")


def test_scaling_changes_one_group_and_keeps_the_others() -> None:
    objects = Objects({**MANIFEST, "spec": {"workerGroupSpecs": GROUPS}})
    KubeRay(objects, None, "a").scale("work", "general", 3)
    body = objects.asked[-1][1]["body"]
    assert body == {"spec": {"workerGroupSpecs": [{**GROUPS[0], "replicas": 3}, GROUPS[1]]}}


@pytest.mark.parametrize(
    ("group", "replicas", "message"),
    [("general", 4, "from 1 to 3, was 4"), ("general", 0, "from 1 to 3, was 0"), ("gpu", 1, "it has general, memory")],
)
def test_scaling_out_of_bounds_says_the_bounds(group: str, replicas: int, message: str) -> None:
    objects = Objects({**MANIFEST, "spec": {"workerGroupSpecs": GROUPS}})
    with pytest.raises(ClusterError, match=message):
        KubeRay(objects, None, "a").scale("work", group, replicas)
    assert len(objects.asked) == 1


def test_waiting_ends_with_the_state_and_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kuberay, "POLL_S", 0.01)
    ray = KubeRay(Objects({"status": {"state": "suspended"}}), None, "alpharay")
    with pytest.raises(ClusterError, match=r"suspended.*kubectl -n alpharay describe rayservices serving"):
        ray.wait(RAY_SERVICE, "serving", service_is_ready, timeout_s=0.05)


def test_a_cluster_is_ready_when_it_is_provisioned_and_all_wanted_workers_are() -> None:
    provisioned = [{"type": "RayClusterProvisioned", "status": "True"}]
    status = {"conditions": provisioned, "desiredWorkerReplicas": 2, "readyWorkerReplicas": 1}
    assert not cluster_is_ready({"status": status})
    assert cluster_is_ready({"status": {**status, "readyWorkerReplicas": 2}})
    assert not cluster_is_ready({})


def test_a_service_is_ready_when_no_upgrade_is_under_way() -> None:
    ready, upgrade = {"type": "Ready", "status": "True"}, {"type": "UpgradeInProgress", "status": "True"}
    assert service_is_ready({"status": {"conditions": [ready]}})
    assert not service_is_ready({"status": {"conditions": [ready, upgrade]}})


def test_a_job_that_failed_has_ended_without_success() -> None:
    failed = {"status": {"jobDeploymentStatus": "Failed", "jobStatus": "FAILED"}}
    assert job_has_ended(failed)
    assert not job_succeeded(failed)
    assert not job_has_ended({"status": {"jobDeploymentStatus": "Running"}})
