"""The command itself: which there are, what they say and exit with, without a cluster."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster.deploy.access import forwards, hosts, token_command
from cluster.deploy.api import path_of, plural
from cluster.deploy.command import app
from cluster.deploy.errors import DeployError
from cluster.deploy.kubectl import Kubectl
from cluster.deploy.layers import APPLICATIONS, GROUND, INFRASTRUCTURE, MIGRATION, NETWORKING, layer_of
from tests.unit.deploy.dev_overlay import rendered_text, rendering
from tests.unit.deploy.fake_cluster import FakeApi

OVERLAYS = Path(__file__).resolve().parents[3] / "cluster/overlays"
COMMANDS = """
infrastructure applications networking install upgrade rollback status check access lint template dry-run diff test
load-test backup restore scale-down delete chart
"""
run = CliRunner()


@pytest.fixture
def _kubectl() -> None:
    rendered_text()


def test_every_command_of_the_guides_is_there_and_explains_itself() -> None:
    known = {command.name for command in app.registered_commands}
    assert known == set(COMMANDS.split())
    for command in app.registered_commands:
        assert command.callback is not None
        assert command.callback.__doc__


@pytest.mark.usefixtures("_kubectl")
def test_template_prints_what_lint_reads_and_both_need_no_cluster() -> None:
    shown = run.invoke(app, ["template", "--overlay", str(OVERLAYS / "dev")])
    assert shown.exit_code == 0
    assert "alpharay.dev/settings" in shown.output
    judged = run.invoke(app, ["lint", "--overlay", str(OVERLAYS / "dev"), "--json"])
    assert judged.exit_code == 0
    assert {one["level"] for one in json.loads(judged.output)} <= {"warning"}


@pytest.mark.usefixtures("_kubectl")
def test_an_overlay_that_is_none_is_told_in_a_line() -> None:
    said = run.invoke(app, ["lint", "--overlay", "nowhere"])
    assert said.exit_code == 1
    assert "--overlay must be a folder with a kustomization.yaml, was nowhere" in said.output


@pytest.mark.usefixtures("_kubectl")
def test_without_a_cluster_it_is_said_how_to_name_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    said = run.invoke(app, ["status", "--overlay", str(OVERLAYS / "dev")])
    assert said.exit_code == 1
    assert "set KUBECONFIG, or name a --context" in said.output


def test_a_kubectl_that_is_missing_or_silent_is_told(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="is not installed"):
        Kubectl(program=str(tmp_path / "kubectl"))("version")
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nsleep 5\n")
    slow.chmod(0o755)
    with pytest.raises(DeployError, match="had no answer after"):
        Kubectl(program=str(slow))("version", timeout_s=0.1)


def test_kubectls_own_words_are_kept_and_the_context_is_passed_on(tmp_path: Path) -> None:
    program = tmp_path / "kubectl"
    program.write_text('#!/bin/sh\necho "$@" >&2\ncat >&2\nexit 3\n')
    program.chmod(0o755)
    with pytest.raises(DeployError) as raised:
        Kubectl("there", str(program))("apply", "-f", "-", text="a manifest")
    assert raised.value.evidence == ("--context=there apply -f -", "a manifest")
    assert Kubectl(program=str(program))("diff", accept=(0, 3), text="") == ""


@pytest.mark.parametrize(
    ("kind", "said"),
    [("NetworkPolicy", "networkpolicies"), ("Gateway", "gateways"), ("Ingress", "ingresses"), ("Pod", "pods")],
)
def test_kinds_have_their_plurals(kind: str, said: str) -> None:
    assert plural(kind) == said


def test_paths_name_the_namespace_only_of_what_has_one() -> None:
    assert path_of("v1", "Pod", "a", "x") == "/api/v1/namespaces/a/pods/x"
    assert path_of("apps/v1", "StatefulSet", "a") == "/apis/apps/v1/namespaces/a/statefulsets"
    assert path_of("storage.k8s.io/v1", "StorageClass", "a") == "/apis/storage.k8s.io/v1/storageclasses"


def test_policies_and_settings_come_before_the_pods_that_they_are_for() -> None:
    layers = {one["kind"]: layer_of(one) for one in rendering("prod").manifests}
    assert {layers[kind] for kind in ("NetworkPolicy", "ConfigMap", "ServiceAccount", "ResourceQuota")} == {GROUND}
    assert {layers[kind] for kind in ("StatefulSet", "Service", "PersistentVolumeClaim")} == {INFRASTRUCTURE}
    assert layers["Job"] == MIGRATION
    assert {layers[kind] for kind in ("RayService", "RayCluster", "CronJob")} == {APPLICATIONS}
    assert {layers[kind] for kind in ("Gateway", "HTTPRoute")} == {NETWORKING}


def test_ways_in_are_told_from_outside_and_from_here() -> None:
    api = FakeApi()
    gateway = "gateway.networking.k8s.io/v1"
    listeners = [
        {"name": "https", "protocol": "HTTPS", "hostname": "api.example.com"},
        {"name": "http", "protocol": "HTTP", "hostname": "api.example.com"},
    ]
    api.put(gateway, "Gateway", "door", spec={"listeners": listeners})
    api.put("v1", "Service", "serving-serve-svc")
    assert hosts(api) == ["https://api.example.com"]
    ((_, command, address),) = forwards(api)
    assert command == "kubectl -n alpharay port-forward svc/serving-serve-svc 8000:8000"
    assert address == "http://127.0.0.1:8000"
    assert "ray-token" in token_command(api)


@pytest.mark.parametrize("name", ["system", "requests", "load"])
def test_programs_for_pods_import_nothing_of_this_package(name: str) -> None:
    source = (OVERLAYS.parent / "deploy/in_pod" / f"{name}.py").read_text()
    imported = {
        module
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in ([node.module] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names])
    }
    assert not [module for module in imported if module and module.startswith(("cluster", "alpharay"))]
