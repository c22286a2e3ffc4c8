"""Everything that can be said of an overlay without a cluster."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.deploy.lint.finding import Finding
from cluster.deploy.lint.images import image_findings
from cluster.deploy.lint.pods import pod_findings
from cluster.deploy.lint.ray import ray_findings
from cluster.deploy.lint.references import reference_findings, selector_findings
from cluster.deploy.lint.schedules import schedule_findings
from cluster.deploy.manifests import Manifest


def findings(manifests: Sequence[Manifest]) -> list[Finding]:
    """Return the faults of the objects, errors first, each once."""
    found = (
        *pod_findings(manifests),
        *image_findings(manifests),
        *ray_findings(manifests),
        *reference_findings(manifests),
        *selector_findings(manifests),
        *schedule_findings(manifests),
    )
    return sorted(dict.fromkeys(found), key=lambda one: one.level != "error")
