"""The example of a workflow for CI says what the Makefile, the overlays and the tool know."""

from __future__ import annotations

import re
from typing import Any

from cluster.deploy.revisions import DEPLOYED, LABEL
from tests.unit.cluster.examples import ENVIRONMENTS, documents, namespace_of
from tests.unit.cluster.rendered import CLUSTER


def steps() -> list[tuple[str, dict[str, Any]]]:
    jobs = documents("deploy-workflow.yaml")[0]["jobs"]
    return [(name, step) for name, job in jobs.items() for step in job["steps"]]


def test_the_workflow_makes_what_the_makefile_has() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (CLUSTER.parent / "Makefile").read_text(), re.MULTILINE))
    asked = [word for _, step in steps() for word in re.findall(r"^make ([a-z-]+)$", step.get("run", ""), re.MULTILINE)]
    assert {"lint", "unit", "integration"} <= set(asked) <= targets


def test_the_workflow_rolls_out_to_the_overlays_namespaces_one_after_the_other() -> None:
    jobs = documents("deploy-workflow.yaml")[0]["jobs"]
    for before, environment in zip(("image", "staging"), ENVIRONMENTS, strict=True):
        job = jobs[environment]
        assert job["needs"] == before
        # Approval is the environment's.
        assert job["environment"] == environment
        assert job["env"]["OVERLAY"] == f"cluster/overlays/{environment}"
        assert job["env"]["NAMESPACE"] == namespace_of(environment)
    assert jobs["image"]["needs"] == "test"


def test_the_workflow_returns_to_the_revision_that_ran_when_the_upgrade_or_a_trial_fails() -> None:
    order = [step for name, step in steps() if name == "prod"]
    runs = [step.get("run", "") for step in order]
    (find,) = [at for at, run in enumerate(runs) if LABEL in run]
    (upgrade,) = [at for at, run in enumerate(runs) if "cluster.deploy upgrade" in run]
    (trial,) = [at for at, run in enumerate(runs) if "cluster.deploy test" in run]
    (back,) = [at for at, run in enumerate(runs) if "cluster.deploy rollback" in run]
    assert find < upgrade < trial < back
    assert f'"{DEPLOYED}"' in runs[find]
    assert order[back]["if"] == f"failure() && steps.{order[upgrade]['id']}.outcome != 'skipped'"


def test_the_image_is_scanned_before_it_is_pushed() -> None:
    order = [step for name, step in steps() if name == "image"]
    (scan,) = [at for at, step in enumerate(order) if step.get("with", {}).get("fail-build")]
    (push,) = [at for at, step in enumerate(order) if step.get("with", {}).get("push")]
    assert scan < push
    assert order[push]["with"]["sbom"] is True
    image = documents("deploy-workflow.yaml")[0]["env"]["IMAGE"]
    assert f"image: {image}:" in (CLUSTER / "base/serving.yaml").read_text()
