"""What a stranger gets wrong is refused, or said, in words that name the field or the thing that is missing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kubernetes.dev_cluster import REPOSITORY, wait_for
from tests.kubernetes.node.kubectl import KubectlError, apply, kubectl, says

pytestmark = pytest.mark.usefixtures("kubernetes")

SPACE = "mistakes"
CLUSTER = """
apiVersion: ray.io/v1
kind: RayCluster
metadata:
  name: mistaken
spec:
  enableInTreeAutoscaling: true
  autoscalerOptions: {{version: {version}}}
  headGroupSpec:
    template: &template
      spec:
        containers: [{{name: ray, image: "ghcr.io/alpharay/alpharay:latest", imagePullPolicy: {pull}}}]
  workerGroupSpecs:
    - groupName: general
      replicas: 1
      minReplicas: {least}
      maxReplicas: 3
      {more}
      template: *template
"""
GOOD = {"version": "v2", "pull": "Never", "least": "0", "more": "rayStartParams: {}"}


@pytest.fixture(scope="module", autouse=True)
def space(kubernetes: None) -> Iterator[None]:
    kubectl("create", "namespace", SPACE)
    yield
    kubectl("delete", "namespace", SPACE, "--wait=false")


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ({"version": "v3"}, 'spec.autoscalerOptions.version: Unsupported value: "v3": supported values: "v1", "v2"'),
        ({"least": "many"}, "minReplicas"),
        ({"more": "bogusField: 1"}, ".spec.workerGroupSpecs[0].bogusField: field not declared in schema"),
    ],
)
def test_a_wrong_field_is_refused_by_its_name(mistake: dict[str, str], said: str) -> None:
    with pytest.raises(KubectlError) as refusal:
        kubectl(
            *("-n", SPACE, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"),
            text=CLUSTER.format(**{**GOOD, **mistake}),
        )
    assert said in str(refusal.value)


def test_more_workers_at_least_than_at_most_is_told_as_an_event() -> None:
    apply(CLUSTER.format(**{**GOOD, "least": "5"}), namespace=SPACE)
    said = wait_for("a warning", lambda: warnings("mistaken"), 60.0)
    assert "minReplicas" in said
    assert "maxReplicas" in said
    assert says("-n", SPACE, "get", "pods", "-o", "name") == ""
    kubectl("-n", SPACE, "delete", "raycluster", "mistaken")


def test_a_missing_secret_is_named_by_the_pod_that_waits_for_it() -> None:
    for name in ("accounts", "settings", "migrate"):
        apply((REPOSITORY / f"cluster/base/{name}.yaml").read_text(), namespace=SPACE)
    waiting = "{.items[*].status.containerStatuses[*].state.waiting.message}"
    told = wait_for(
        "the pod to say why",
        lambda: says("-n", SPACE, "get", "pods", "-l", "app=prepare", "-o", f"jsonpath={waiting}"),
        60.0,
    )
    assert told == 'secret "alpharay" not found'


def test_a_pod_that_breaks_the_restricted_standard_is_refused_with_the_list_of_what_is_wrong() -> None:
    kubectl("label", "namespace", SPACE, "pod-security.kubernetes.io/enforce=restricted")
    with pytest.raises(KubectlError) as refusal:
        kubectl("-n", SPACE, "run", "root", "--image=docker.io/library/postgres:18", "--restart=Never")
    assert "violates PodSecurity" in str(refusal.value)
    assert "runAsNonRoot" in str(refusal.value)


def warnings(name: str) -> str:
    chosen = f"type=Warning,involvedObject.name={name}"
    return says("-n", SPACE, "get", "events", "--field-selector", chosen, "-o", "jsonpath={.items[*].message}")
