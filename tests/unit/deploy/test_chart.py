"""The Helm chart says what the overlay says: its templates are rendered here, by the few actions that they use."""

from __future__ import annotations

import copy
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.deploy.chart.files import chart_files
from cluster.deploy.chart.package import write_chart
from cluster.deploy.chart.placeholders import as_template
from cluster.deploy.chart.values import camel
from cluster.deploy.manifests import Rendering
from tests.unit.deploy.dev_overlay import rendering

ACTION = re.compile(r"{{(-?) *(.*?) *}}")


def render(template: str, values: dict[str, Any], namespace: str = "alpharay") -> str:
    """Render what Helm would: values, `quote`, `toJson`, `with`, `if`, the release's namespace, and literal braces."""
    lines: list[str] = []
    shown, dot = True, ""
    for line in template.splitlines():
        if (found := re.fullmatch(r" *{{- (with|if) \.Values\.([\w.]+) }}", line)) is not None:
            dot = look_up(values, found[2])
            shown = bool(dot)
        elif re.fullmatch(r" *{{- end }}", line):
            shown = True
        elif shown:
            lines.append(ACTION.sub(lambda action, dot=dot: said(action[2], values, namespace, dot), line))  # type: ignore[misc]
    return "\n".join(lines) + "\n"


def said(action: str, values: dict[str, Any], namespace: str, dot: str) -> str:
    if action == '"{{"':
        return "{{"
    if action == ".Release.Namespace":
        return namespace
    if action == ". | quote":
        return json.dumps(dot)
    if (found := re.fullmatch(r"toJson \.Values\.([\w.]+)", action)) is not None:
        return json.dumps(look_up(values, found[1]))
    found = re.fullmatch(r"\.Values\.([\w.]+)( \| quote)?", action)
    assert found is not None, f"an action that the test does not know: {action}"
    value = look_up(values, found[1])
    return json.dumps(str(value)) if found[2] else str(value)


def look_up(values: Any, path: str) -> Any:
    for name in path.split("."):
        values = values[name]
    return values


def rendered(files: dict[str, str], values: dict[str, Any], namespace: str = "ours") -> dict[tuple[str, str], Any]:
    documents = [
        yaml.safe_load(render(text, values, namespace))
        for name, text in files.items()
        if name.startswith("templates/") and name.endswith(".yaml") and "/tests/" not in name
    ]
    return {(one["kind"], one["metadata"]["name"]): one for one in documents if one is not None}


def chart(name: str) -> tuple[Rendering, dict[str, str], dict[str, Any]]:
    overlay = rendering(name)
    files = chart_files(overlay, "1.2.3")
    return overlay, files, yaml.safe_load(files["values.yaml"])


def as_applied(manifest: Any) -> Any:
    """Return the object as the chart should have it: in no namespace of its own, a Job as a hook."""
    wanted = copy.deepcopy(manifest)
    wanted["metadata"].pop("namespace", None)
    if wanted["kind"] == "Job":
        hooks = {"helm.sh/hook": "post-install,pre-upgrade", "helm.sh/hook-delete-policy": "before-hook-creation"}
        wanted["metadata"].setdefault("annotations", {}).update(hooks)
    return wanted


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_with_its_own_values_the_chart_is_the_overlay(name: str) -> None:
    overlay, files, values = chart(name)
    found = rendered(files, values, overlay.namespace)
    for manifest in overlay.manifests:
        key = manifest["kind"], manifest["metadata"]["name"]
        if manifest["kind"] in {"Namespace", "Secret"}:
            assert key not in found
            continue
        assert found.pop(key) == as_applied(manifest), key
    assert found == {}


def test_values_change_what_they_name_and_nothing_else() -> None:
    _, files, values = chart("prod")
    before = rendered(files, values)
    values["images"]["alpharay"]["tag"] = "9.9.9"
    values["replicas"]["servingGeneral"]["maxReplicas"] = 77
    values["resources"]["kafka"]["kafka"]["limits"]["memory"] = "5Gi"
    values["storage"]["postgres"] = {"size": "7Ti", "class": ""}
    values["domains"]["api"] = "*.example.org"
    after = rendered(files, values)
    serving = after["RayService", "serving"]["spec"]["rayClusterConfig"]
    assert serving["workerGroupSpecs"][0]["maxReplicas"] == 77
    assert serving["headGroupSpec"]["template"]["spec"]["containers"][0]["image"] == "ghcr.io/alpharay/alpharay:9.9.9"
    kafka = after["StatefulSet", "kafka"]["spec"]["template"]["spec"]["containers"][0]
    assert kafka["resources"]["limits"]["memory"] == "5Gi"
    claim = after["StatefulSet", "postgres"]["spec"]["volumeClaimTemplates"][0]["spec"]
    assert claim["resources"]["requests"]["storage"] == "7Ti"
    assert "storageClassName" not in claim
    assert after["Gateway", "alpharay"]["spec"]["listeners"][0]["hostname"] == "*.example.org"
    for key in (("NetworkPolicy", "ray"), ("ConfigMap", "kafka"), ("StatefulSet", "ray-state")):
        assert after[key] == before[key]


def test_shared_priorities_can_be_left_to_another_release() -> None:
    _, files, values = chart("prod")
    assert values["priorityClasses"] is True
    values["priorityClasses"] = False
    assert not [kind for kind, _ in rendered(files, values) if kind == "PriorityClass"]


def test_a_chart_holds_no_secret_and_says_which_are_needed() -> None:
    _, files, _ = chart("dev")
    assert "only-for-dev" not in "".join(files.values())
    assert "kubectl -n NAMESPACE create secret generic ray-token --from-literal=auth_token=..." in files["README.md"]


def test_what_looks_like_a_template_stays_text() -> None:
    manifest = {"kind": "ConfigMap", "data": {"rule": "{{ $value }} is {{ .Labels.pod }}\nand more"}}
    assert yaml.safe_load(render(as_template(manifest), {})) == manifest


def test_the_test_of_a_release_asks_all_applications_as_a_locked_pod() -> None:
    _, files, values = chart("dev")
    pod = yaml.safe_load(render(files["templates/tests/health.yaml"], values))
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    compile(container["args"][2], "health", "exec")


def test_an_archive_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    _, files, _ = chart("dev")
    first = write_chart(files, tmp_path / "a", "1.2.3")
    second = write_chart(files, tmp_path / "b", "1.2.3")
    assert first.name == "alpharay-1.2.3.tgz"
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as tar:
        assert sorted(tar.getnames()) == sorted(f"alpharay/{name}" for name in files)


@pytest.mark.parametrize(
    ("name", "said"), [("ray-state", "rayState"), ("kafka", "kafka"), ("prepare-0-1-0", "prepare010")]
)
def test_names_can_be_asked_for_with_a_dot(name: str, said: str) -> None:
    assert camel(name) == said
