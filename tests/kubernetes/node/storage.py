"""Volumes of the node: folders of this machine, as many as the manifests claim."""

from __future__ import annotations

import yaml

from tests.kubernetes.node.folders import VOLUMES
from tests.kubernetes.node.kubectl import apply

COUNT = 48
"""A claim that is deleted leaves its volume with its data, and the next one takes another."""

SIZE = "50Gi"
_CLASS = "node"


def offer() -> None:
    """Offer empty volumes under the default class; each is claimed once."""
    documents = [
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": _CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": "WaitForFirstConsumer",
        }
    ]
    for number in range(COUNT):
        folder = VOLUMES / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        # No one gives a folder of the machine to a pod's group, as a real volume would be.
        folder.chmod(0o777)
        documents.append(_volume(number, str(folder)))
    apply(yaml.safe_dump_all(documents))


def _volume(number: int, folder: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"volume-{number}"},
        "spec": {
            "capacity": {"storage": SIZE},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": _CLASS,
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": folder, "type": "Directory"},
        },
    }
