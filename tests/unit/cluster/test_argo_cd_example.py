"""The example for Argo CD applies the overlays as the tool does: in its order, and without taking data away."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.deploy.layers import APPLICATIONS, MIGRATION, NETWORKING, layer_of
from cluster.deploy.rollout import _NEVER_PRUNED
from tests.unit.cluster.examples import ENVIRONMENTS, document, namespace_of
from tests.unit.cluster.rendered import CLUSTER, Document, kustomize, needs_kubectl, of_kind, render

ANNOTATION = "argocd.argoproj.io"


def of_argo_cd(environment: str) -> dict[str, Any]:
    """Return the Application that the ApplicationSet makes for an environment."""
    text = yaml.safe_dump(document("argo-cd.yaml", "ApplicationSet")["spec"]["template"])
    found: dict[str, Any] = yaml.safe_load(re.sub(r"\{\{ \.environment \}\}", environment, text))
    return found


def synced(environment: str, folder: Path) -> tuple[Document, ...]:
    """Return what Argo CD applies: the overlay with the Application's own patches."""
    source = of_argo_cd(environment)["spec"]["source"]
    content = {
        "resources": [os.path.relpath(CLUSTER.parent / source["path"], folder)],
        "patches": source["kustomize"]["patches"],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return kustomize(folder)


def noted(one: Document) -> dict[str, str]:
    """Return what an object's annotations tell Argo CD."""
    annotations = one["metadata"].get("annotations", {})
    return {name.partition("/")[2]: text for name, text in annotations.items() if name.startswith(ANNOTATION)}


@needs_kubectl
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_argo_cd_applies_the_overlay_in_the_order_of_the_tool(environment: str, tmp_path: Path) -> None:
    objects = synced(environment, tmp_path.resolve())
    assert len(objects) == len(render(environment))
    waves = {MIGRATION: "1", APPLICATIONS: "2", NETWORKING: "3"}
    for one in objects:
        # The tool starts it with the data, and Ray after it.
        is_executor = (one["kind"], one["metadata"]["name"]) == ("Deployment", "executor")
        wanted = APPLICATIONS if is_executor else layer_of(one)
        assert noted(one).get("sync-wave", "0") == waves.get(wanted, "0"), one["metadata"]["name"]


@needs_kubectl
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_argo_cd_makes_the_migration_anew_and_never_takes_data_away(environment: str, tmp_path: Path) -> None:
    objects = synced(environment, tmp_path.resolve())
    hooks = {one["kind"]: noted(one) for one in objects if "hook" in noted(one)}
    assert list(hooks) == ["Job"]
    assert hooks["Job"]["hook-delete-policy"] == "BeforeHookCreation"
    kept = {one["kind"] for one in objects if "Prune=false" in noted(one).get("sync-options", "")}
    assert kept == _NEVER_PRUNED - {"Secret"}
    assert not [one for one in objects if one["kind"] in kept and "Delete=false" not in noted(one)["sync-options"]]


@needs_kubectl
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_argo_cd_may_go_where_the_overlay_goes(environment: str) -> None:
    application, project = of_argo_cd(environment)["spec"], document("argo-cd.yaml", "AppProject")
    destination = application["destination"]
    assert destination["namespace"] == namespace_of(environment)
    assert destination in project["spec"]["destinations"]
    assert application["project"] == project["metadata"]["name"]
    assert application["source"]["repoURL"] in project["spec"]["sourceRepos"]
    elements = document("argo-cd.yaml", "ApplicationSet")["spec"]["generators"][0]["list"]["elements"]
    assert [one["environment"] for one in elements] == list(ENVIRONMENTS)
    everywhere = {one["kind"] for one in render(environment) if "namespace" not in one["metadata"]}
    assert {one["kind"] for one in project["spec"]["clusterResourceWhitelist"]} == everywhere


@needs_kubectl
def test_argo_cd_ignores_fields_of_kinds_that_there_are() -> None:
    for one in of_argo_cd("prod")["spec"]["ignoreDifferences"]:
        found = of_kind("prod", one["kind"])
        assert found, one["kind"]
        assert {document["apiVersion"].partition("/")[0] for document in found} == {one["group"]}
