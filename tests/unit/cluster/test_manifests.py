"""What every manifest keeps, whatever else changes: read as files, no cluster is needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.cluster.rendered import pods

CLUSTER = Path(__file__).resolve().parents[3] / "cluster"
SERVE_APPS = CLUSTER.parent / "serve_apps"
FILES = sorted(
    path
    for part in ("base", "components", "overlays")
    for path in (CLUSTER / part).rglob("*.yaml")
    if "kustomization" not in path.name and ".patch." not in path.name and path.parent.name != "settings"
)


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in FILES:
        for document in yaml.safe_load_all(path.read_text()):
            yield f"{path.name}: {document['kind']} {document['metadata']['name']}", document


PODS = [(name, pod) for name, document in documents() for pod in pods(document)]
CONTAINERS = [
    (f"{name}, {container['name']}", container)
    for name, pod in PODS
    for container in (*pod["containers"], *pod.get("initContainers", ()))
]


def test_there_are_manifests() -> None:
    assert len(PODS) >= 12


@pytest.mark.parametrize(("name", "pod"), PODS, ids=[name for name, _ in PODS])
def test_a_pod_meets_the_restricted_standard(name: str, pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any("hostPath" in volume for volume in pod.get("volumes", ()))
    assert not pod.get("hostNetwork")


@pytest.mark.parametrize(("name", "container"), CONTAINERS, ids=[name for name, _ in CONTAINERS])
def test_a_container_is_locked_bounded_and_never_pulled_twice(name: str, container: dict[str, Any]) -> None:
    context = container["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert "memory" in container["resources"]["requests"]
    assert "memory" in container["resources"]["limits"]
    assert container["image"].startswith(("docker.io/", "ghcr.io/", "registry.k8s.io/"))


@pytest.mark.parametrize(
    ("name", "container"),
    [(name, one) for name, one in CONTAINERS if name.startswith("serving.yaml") and "ray" in one["name"]],
)
def test_memory_that_ray_counts_on_is_reserved(name: str, container: dict[str, Any]) -> None:
    assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]


def test_no_workload_without_a_network_policy() -> None:
    policies = [document["spec"] for _, document in documents() if document["kind"] == "NetworkPolicy"]
    chosen = [policy["podSelector"].get("matchLabels", {}) for policy in policies]
    labels = [
        document["spec"]["template"]["metadata"]["labels"]
        for _, document in documents()
        if document["kind"] in {"Deployment", "StatefulSet", "Job"}
    ]
    for one in labels:
        assert any(choice and choice.items() <= one.items() for choice in chosen), one
    # Some enforcers read matchLabels and single ports only, and take all else for "everything".
    assert "matchExpressions" not in (CLUSTER / "base/network-policies.yaml").read_text()
    assert "endPort" not in (CLUSTER / "base/network-policies.yaml").read_text()


def test_everything_is_denied_first() -> None:
    denied = [
        document["spec"]
        for _, document in documents()
        if document["kind"] == "NetworkPolicy" and document["metadata"]["name"] == "default-deny"
    ]
    assert denied == [{"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}]


def test_the_serving_cluster_runs_the_applications_of_serve_apps() -> None:
    (service,) = [document for _, document in documents() if document["kind"] == "RayService"]
    deployed = {one["name"]: one for one in yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]}
    for name in ("signal", "risk", "portfolio"):
        (ours,) = yaml.safe_load((SERVE_APPS / f"{name}.yaml").read_text())["applications"]
        assert deployed[name]["import_path"] == ours["import_path"]
        assert deployed[name]["route_prefix"] == ours["route_prefix"]
        assert deployed[name].get("args", {}).keys() == ours.get("args", {}).keys()


def test_schedules_submit_what_exists_once_a_period() -> None:
    jobs = [document for _, document in documents() if document["kind"] == "CronJob"]
    schedules = [
        one
        for one in jobs
        if one["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]["role"] == "submitter"
    ]
    assert schedules
    for schedule in schedules:
        assert schedule["spec"]["concurrencyPolicy"] == "Forbid"
        (container,) = schedule["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        words = container["args"]
        assert words[:4] == ["python", "-m", "cluster.submit", schedule["metadata"]["name"]]
        job = words[words.index("--") + 1 :]
        assert job[:2] == ["python", "-m"]
        assert (CLUSTER.parent / (job[2].replace(".", "/") + ".py")).is_file()
        every = int(words[words.index("--every") + 1])
        minutes = schedule["spec"]["schedule"].split()[0]
        assert re.fullmatch({1: r"\*", 5: r"(\*|[1-4]-59)/5"}.get(every, ".*"), minutes)


def test_an_acknowledged_record_outlives_a_broker() -> None:
    (settings,) = [
        document
        for _, document in documents()
        if document["kind"] == "ConfigMap" and document["metadata"]["name"] == "kafka"
    ]
    start = settings["data"]["start.sh"]
    assert "default.replication.factor=3" in start
    assert "min.insync.replicas=2" in start
    assert "auto.create.topics.enable=false" in start


def test_no_secret_is_written_into_the_base() -> None:
    assert not [name for name, document in documents() if document["kind"] == "Secret"]
