"""`cluster/examples` against the API server, with the definitions of the operators that they are for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest

from cluster.deploy.manifests import as_list
from tests.kubernetes.definitions_of_others import ARGO_CD, EXTERNAL_SECRETS, ISTIO, defined
from tests.kubernetes.node.kubectl import KubectlError, kubectl
from tests.unit.cluster.examples import EXAMPLES, document, documents
from tests.unit.cluster.rendered import kustomize

pytestmark = [pytest.mark.usefixtures("definitions"), pytest.mark.timeout(900)]

FILES = ("argo-cd.yaml", "aws-secrets-manager.yaml", "istio.yaml", "vault.yaml")
SPACES = ("alpharay-prod", "argocd")
# Of the Prometheus operator, which no example brings.
OF_OTHERS = {"PodMonitor", "PrometheusRule"}


@pytest.fixture(scope="module")
def definitions(kubernetes: None) -> Iterator[None]:
    """Let the API server know the kinds, and have the namespaces that the examples name."""
    known = kubectl("get", "namespaces", "-o", "name").replace("namespace/", "").split()
    made = [name for name in SPACES if name not in known]
    with defined(ISTIO, ARGO_CD, EXTERNAL_SECRETS):
        for name in made:
            kubectl("create", "namespace", name)
        yield
    for name in made:
        kubectl("delete", "namespace", name, "--timeout=100s")


@pytest.mark.parametrize("file", FILES)
def test_the_api_server_would_take_an_example(file: str) -> None:
    objects = documents(file)
    assert would_take(objects) == len(objects)


def test_the_api_server_would_take_the_second_cluster() -> None:
    objects = [one for one in kustomize(EXAMPLES / "second-cluster") if one["kind"] not in OF_OTHERS]
    assert would_take(objects) == len(objects)


@pytest.mark.parametrize(
    ("file", "kind", "change", "said"),
    [
        ("istio.yaml", "VirtualService", lambda spec: spec["http"][0].update(timeOut="30s"), "timeOut"),
        ("istio.yaml", "VirtualService", lambda spec: spec["http"][0].update(timeout="30 s"), "timeout"),
        ("istio.yaml", "DestinationRule", lambda spec: spec["trafficPolicy"].update(pool={}), "pool"),
        ("istio.yaml", "PeerAuthentication", lambda spec: spec["mtls"].update(mode="MAYBE"), "mode"),
        ("argo-cd.yaml", "AppProject", lambda spec: spec.update(sourceRepos="all"), "sourceRepos"),
        ("argo-cd.yaml", "ApplicationSet", lambda spec: spec["template"]["spec"].pop("destination"), "destination"),
        ("vault.yaml", "ClusterSecretStore", lambda spec: spec["provider"].update(aws={"region": "x"}), "provider"),
        ("vault.yaml", "ClusterSecretStore", lambda spec: spec["provider"]["vault"].update(version="v3"), "version"),
    ],
)
def test_the_api_server_names_what_is_wrong(
    file: str, kind: str, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    """A check that never complains is none."""
    wrong = deepcopy(document(file, kind))
    change(wrong["spec"])
    with pytest.raises(KubectlError, match=said):
        would_take([wrong])


def would_take(objects: list[dict[str, Any]]) -> int:
    """Return how many objects the API server would take; raises KubectlError when it refuses one."""
    words = ("--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-")
    told = kubectl("apply", *words, text=as_list(objects))
    return told.count("serverside-applied")
