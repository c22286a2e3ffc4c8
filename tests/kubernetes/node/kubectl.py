"""kubectl, as the node's administrator."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from cluster.local.process import child_environment
from tests.kubernetes.node.folders import KUBECONFIG
from tests.kubernetes.node.network import inside


class KubectlError(RuntimeError):
    """The API server refused, or could not be asked; the text is kubectl's own."""


def kubectl(*words: str, text: str | None = None, seconds: float = 120.0) -> str:
    """Run kubectl with `text` as its standard input and return what it prints; raises KubectlError."""
    answer = subprocess.run(
        inside(["kubectl", f"--kubeconfig={KUBECONFIG}", *words]),
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
        env=child_environment(),
    )
    if answer.returncode != 0:
        raise KubectlError(f"kubectl {' '.join(words)}: {answer.stderr.strip()}")
    return answer.stdout


def says(*words: str) -> str:
    """Return what kubectl prints, without the line's end; empty when it fails."""
    try:
        return kubectl(*words, seconds=10.0).strip()
    except (KubectlError, subprocess.TimeoutExpired):
        return ""


def read(*words: str) -> Any:
    """Return an object, or a list of them, as the API server holds it."""
    return json.loads(kubectl("get", *words, "-o", "json"))


def apply(manifest: str, *, namespace: str | None = None) -> str:
    """Apply YAML server-side: KubeRay's definitions are too large for the client's way."""
    where = () if namespace is None else ("--namespace", namespace)
    return kubectl("apply", "--server-side", "--force-conflicts", *where, "-f", "-", text=manifest)
