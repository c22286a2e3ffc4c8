"""Images whose name may mean something else tomorrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.deploy.lint.finding import Finding
from cluster.deploy.manifests import Manifest
from cluster.deploy.pod_templates import containers, pod_templates


def image_findings(manifests: Sequence[Manifest]) -> Iterator[Finding]:
    """Yield each image that names no version: a rollback would not find the one before."""
    images = {
        str(container.get("image", ""))
        for manifest in manifests
        for template in pod_templates(manifest)
        for container in containers(template)
    }
    for image in sorted(images):
        tag = image.rpartition("/")[2].partition(":")[2]
        if "@sha256:" not in image and tag in {"", "latest"}:
            yield Finding("warning", f"image {image}", "moves: name a version, so that a rollback finds the one before")
