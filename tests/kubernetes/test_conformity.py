"""Every overlay, with all optional components too, against the API server: its schemas, and the server itself.

Kinds of the Prometheus operator are not known to the node; they are named here, and left out.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cluster.deploy.manifests import as_list
from tests.kubernetes.definitions_of_others import EXTERNAL_SECRETS, defined
from tests.kubernetes.node import programs
from tests.kubernetes.node.kubectl import kubectl
from tests.kubernetes.object_schemas import TEMPLATE, write_schemas
from tests.unit.cluster.rendered import EVERYTHING, OWN_PROMETHEUS, render

pytestmark = [pytest.mark.usefixtures("external_secrets"), pytest.mark.timeout(900)]

OVERLAYS = ("dev", "staging", "prod", EVERYTHING, OWN_PROMETHEUS)
OF_OTHERS = {"PodMonitor", "PrometheusRule"}


@pytest.fixture(scope="module")
def external_secrets(kubernetes: None) -> Iterator[None]:
    with defined(EXTERNAL_SECRETS):
        yield


@pytest.fixture(scope="module")
def schemas(external_secrets: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("schemas")
    write_schemas(folder)
    return folder


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubeconform_finds_nothing_wrong(overlay: str, schemas: Path) -> None:
    objects = [one for one in render(overlay) if one["kind"] not in OF_OTHERS]
    told = kubeconform(yaml.safe_dump_all(objects), schemas)
    assert [one for one in told["resources"] if one["status"] != "statusValid"] == []
    assert told["summary"]["valid"] == len(objects)


def test_kubeconform_finds_what_is_wrong(schemas: Path) -> None:
    """A check that never complains is none: a field that does not exist, and a wrong type, deep in a custom kind."""
    (service,) = [one for one in render("dev") if one["kind"] == "RayService"]
    for change in (
        lambda spec: spec.update(serviceUnhealthySecondTreshold=3),
        lambda spec: spec["rayClusterConfig"]["workerGroupSpecs"][0].update(replicas="one"),
        lambda spec: spec["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"][0].update(imag="x"),
    ):
        wrong = yaml.safe_load(yaml.safe_dump(service))
        change(wrong["spec"])
        told = kubeconform(yaml.safe_dump(wrong), schemas)
        assert told["summary"] == {"valid": 0, "invalid": 1, "errors": 0, "skipped": 0}


def kubeconform(text: str, schemas: Path) -> dict[str, dict[str, int]]:
    """Return kubeconform's findings of some objects."""
    words = ["-strict", "-output", "json", "-verbose", "-summary", "-schema-location", str(schemas / TEMPLATE)]
    said = subprocess.run(
        [programs.tool("kubeconform"), *words], input=text, capture_output=True, text=True, check=False, timeout=120
    )
    assert not said.stderr, said.stderr
    found: dict[str, dict[str, int]] = json.loads(said.stdout)
    return found


@pytest.fixture(params=OVERLAYS)
def overlay_with_namespace(request: pytest.FixtureRequest, external_secrets: None) -> Iterator[str]:
    """Yield an overlay whose namespace there is, which goes again if it was not there before."""
    (namespace,) = [one for one in render(request.param) if one["kind"] == "Namespace"]
    name = namespace["metadata"]["name"]
    known = name in kubectl("get", "namespaces", "-o", "name").replace("namespace/", "").split()
    if not known:
        kubectl("apply", "--server-side", "-f", "-", text=json.dumps(namespace))
    yield request.param
    if not known:
        kubectl("delete", "namespace", name, "--timeout=100s")


def test_the_api_server_would_take_it(overlay_with_namespace: str) -> None:
    objects = [one for one in render(overlay_with_namespace) if one["kind"] not in OF_OTHERS]
    words = ("--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-")
    told = kubectl("apply", *words, text=as_list(objects))
    assert told.count("serverside-applied") == len(objects)
