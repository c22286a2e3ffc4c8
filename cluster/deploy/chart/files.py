"""The files of a Helm chart, made from an overlay's manifests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from cluster.deploy.chart.placeholders import as_template
from cluster.deploy.chart.values import Values, image_mark, with_values
from cluster.deploy.manifests import Manifest, Rendering, of_kind
from cluster.deploy.pod_templates import pod_templates
from cluster.deploy.secret_keys import secret_keys

NAME = "alpharay"
# Migrations: after the first installation, when the database is there, and before every upgrade.
_HOOKS = {"helm.sh/hook": "post-install,pre-upgrade", "helm.sh/hook-delete-policy": "before-hook-creation"}
# A network plug-in learns of a new pod after it has started: until then the policies refuse it.
_HEALTHS = """
import json, time, urllib.request
until = time.monotonic() + 60
for path in ("", "/risk", "/portfolio"):
    while True:
        try:
            with urllib.request.urlopen(f"http://serving-serve-svc:8000{path}/health", timeout=20) as answer:
                assert json.load(answer) == {"status": "alive"}, path
            break
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(2)
    print(f"{path or '/'}: alive")
"""


def chart_files(rendering: Rendering, version: str) -> dict[str, str]:
    """Return the chart's files by their path in it.

    Namespace and Secrets are left out: Helm makes the one, and a chart is no place for the others.
    """
    kept = [one for one in rendering.manifests if one["kind"] not in {"Namespace", "Secret"}]
    marked, values = with_values(kept)
    files = {
        "Chart.yaml": _chart(rendering, version),
        "values.yaml": _values(values, kept),
        "README.md": _readme(rendering, kept),
        "templates/NOTES.txt": _NOTES,
        "templates/tests/health.yaml": as_template(_health_test()),
    }
    for one in marked:
        files[f"templates/{one['kind'].lower()}-{one['metadata']['name']}.yaml"] = _template(one)
    return files


def _template(manifest: Any) -> str:
    if manifest["kind"] == "Job":
        annotations = manifest["metadata"].setdefault("annotations", {})
        annotations |= _HOOKS
    text = as_template(manifest)
    if manifest["kind"] == "PriorityClass":
        return f"{{{{- if .Values.priorityClasses }}}}\n{text}{{{{- end }}}}\n"
    return text


def _chart(rendering: Rendering, version: str) -> str:
    text: str = yaml.safe_dump(
        {
            "apiVersion": "v2",
            "name": NAME,
            "description": f"AlphaRay as the overlay {rendering.overlay} has it. Made by cluster.deploy, not by hand.",
            "type": "application",
            "version": version,
            "appVersion": version,
            "kubeVersion": ">=1.29.0-0",
        },
        sort_keys=False,
    )
    return text


def _values(values: Values, manifests: Sequence[Manifest]) -> str:
    wanted = dict(values)
    if of_kind(manifests, "PriorityClass"):
        wanted["priorityClasses"] = True
    comments = {
        "images": "# Where images come from, and which version.",
        "replicas": "# Of what may be several; of Ray's groups as the autoscaler's range.",
        "resources": "# Requests and limits of each container; request and limit of a Ray node's memory must be one.",
        "storage": "# Volumes; an empty class is the default one. A volume that is there keeps its size and class.",
        "domains": "# Hosts of the ways in.",
        "priorityClasses": "# They are the whole cluster's: false where another release brings them.",
    }
    parts = [f"{comments[name]}\n{yaml.safe_dump({name: found}, sort_keys=False)}" for name, found in wanted.items()]
    return "\n".join(parts)


def _health_test() -> dict[str, Any]:
    locked = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "health",
            # Ray's own pods may ask Serve, and it asks as one.
            "labels": {"app": "health", "role": "ray"},
            "annotations": {
                "helm.sh/hook": "test",
                "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
            },
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": 120,
            "automountServiceAccountToken": False,
            "serviceAccountName": "jobs",
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "runAsGroup": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "health",
                    "image": image_mark(NAME),
                    "imagePullPolicy": "IfNotPresent",
                    "args": ["python", "-c", _HEALTHS],
                    "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "128Mi"}},
                    "securityContext": locked,
                }
            ],
        },
    }


def _readme(rendering: Rendering, manifests: Sequence[Manifest]) -> str:
    promised = {one["spec"].get("target", {}).get("name") for one in of_kind(manifests, "ExternalSecret")}
    by_hand = {
        name: sorted(keys)
        for name, keys in sorted(secret_keys(pod_templates(list(manifests))).items())
        if name not in promised
    }
    secrets = "\n".join(
        f"kubectl -n NAMESPACE create secret generic {name} "
        + (" ".join(f"--from-literal={key}=..." for key in keys) or "--from-env-file=FILE")
        for name, keys in by_hand.items()
    )
    first = f"\nSecrets that must be there before, with the keys that are named one by one:\n\n```sh\n{secrets}\n```\n"
    return _README.format(overlay=rendering.overlay, secrets=first if by_hand else "")


_README = """# AlphaRay, overlay {overlay}

Made from the kustomize overlay by `python -m cluster.deploy chart`; a change belongs there, not here.

```sh
kubectl create namespace NAMESPACE
kubectl label namespace NAMESPACE pod-security.kubernetes.io/enforce=restricted
helm install alpharay . --namespace NAMESPACE
helm test alpharay --namespace NAMESPACE
helm upgrade alpharay . --namespace NAMESPACE --force-conflicts
helm rollback alpharay --namespace NAMESPACE --force-conflicts
```
{secrets}
KubeRay's operator writes into the RayService too: without `--force-conflicts` Helm 4 refuses to change it.

Before `helm uninstall`, which takes everything at once: Ray clusters clear their state in the Valkey `ray-state`, and
wait for it for ever once that is gone.

```sh
kubectl -n NAMESPACE delete rayservices,rayclusters --all
```

Helm knows nothing of brokers that must catch up one by one: when `helm upgrade` changed them, delete their pods one
after the other, each when no partition lacks a replica. `python -m cluster.deploy upgrade` does that by itself.
"""
_NOTES = """AlphaRay is being started in namespace {{ .Release.Namespace }}; the first time takes some minutes.

  kubectl -n {{ .Release.Namespace }} get rayservice serving -w
  helm test {{ .Release.Name }} -n {{ .Release.Namespace }}
  kubectl -n {{ .Release.Namespace }} port-forward svc/serving-serve-svc 8000:8000
"""
