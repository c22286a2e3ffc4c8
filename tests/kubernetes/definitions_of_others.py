"""Kinds of others' operators: while a test needs them the API server knows them, without the operators."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from tests.kubernetes.dev_cluster import wait_for
from tests.kubernetes.node.kubectl import kubectl
from tests.kubernetes.node.programs import module_folder


@dataclass(frozen=True)
class Definitions:
    """Which files of a Go module define the kinds: patterns below its folder."""

    module: str
    version: str
    files: tuple[str, ...]


ISTIO = Definitions("istio.io/api", "v1.27.0", ("kubernetes/customresourcedefinitions.gen.yaml",))
ARGO_CD = Definitions("github.com/argoproj/argo-cd/v3", "v3.1.0", ("manifests/crds/*-crd.yaml",))
EXTERNAL_SECRETS = Definitions(
    "github.com/external-secrets/external-secrets",
    "v0.19.2",
    (
        "config/crds/bases/external-secrets.io_clustersecretstores.yaml",
        "config/crds/bases/external-secrets.io_externalsecrets.yaml",
    ),
)


@contextmanager
def defined(*wanted: Definitions) -> Iterator[None]:
    """Define the kinds, wait until the API server serves and describes them, and take them away again."""
    files = [
        word
        for one in wanted
        for pattern in one.files
        for path in sorted(module_folder(one.module, one.version).glob(pattern))
        for word in ("-f", str(path))
    ]
    assert len(files) >= 2 * sum(len(one.files) for one in wanted), f"a file is missing: {files}"
    try:
        kubectl("apply", "--server-side", "--force-conflicts", *files, seconds=300.0)
        kubectl("wait", "--for=condition=Established", "--timeout=120s", *files, seconds=150.0)
        for one in json.loads(kubectl("get", "-o", "json", *files))["items"]:
            kind, group = one["spec"]["names"]["kind"], one["spec"]["group"]
            for version in one["spec"]["versions"]:
                if version["served"]:
                    page = f"/openapi/v3/apis/{group}/{version['name']}"
                    wait_for(f"{kind} in {page}", partial(_describes, page, kind), 60.0)
        yield
    finally:
        kubectl("delete", "--ignore-not-found", "--timeout=120s", *files, seconds=150.0)


def _describes(page: str, kind: str) -> bool:
    return f'"kind":"{kind}"' in kubectl("get", "--raw", page)
