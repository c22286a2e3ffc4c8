"""Programs run in a Ray head's pod, where the policies let them ask and the token is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cluster.deploy.api import Api
from cluster.deploy.errors import DeployError
from cluster.deploy.manifests import Run
from cluster.deploy.trouble import is_ready

CONTAINER = "ray-head"
IN_POD = Path(__file__).parent / "in_pod"


def serving_head(api: Api) -> str:
    """Return the pod that heads the cluster which serves; raises DeployError when none is ready."""
    service = api.read("ray.io/v1", "RayService", "serving")
    status = {} if service is None else service.get("status", {})
    cluster = status.get("activeServiceStatus", {}).get("rayClusterName")
    labels = "ray.io/node-type=head" + (f",ray.io/cluster={cluster}" if cluster else "")
    ready = [pod["metadata"]["name"] for pod in api.items("v1", "Pod", labels=labels) if is_ready(pod)]
    if not ready:
        raise DeployError(
            "no Ray head is ready", next_steps=(f"kubectl -n {api.namespace} describe pods -l ray.io/node-type=head",)
        )
    return str(ready[0])


def run_in_head(kubectl: Run, api: Api, program: str, question: object = None, *, timeout_s: float) -> Any:
    """Run a program of the folder `in_pod` in the serving head, and return the JSON that it prints last.

    The question goes to its standard input: it may hold a key, and arguments are shown to others.
    """
    source = (IN_POD / f"{program}.py").read_text()
    said = kubectl(
        *("-n", api.namespace, "exec", "-i", serving_head(api), "-c", CONTAINER, "--", "python", "-c", source),
        text=json.dumps(question),
        timeout_s=timeout_s,
    )
    try:
        return json.loads(said.splitlines()[-1])
    except (ValueError, IndexError):
        raise DeployError(f"{program} in the head's pod did not answer in JSON", evidence=(said[-300:],)) from None
