"""Write the objects of a namespace to a file, without its secrets: `python -m cluster.back_up_configuration`.

What the overlay says is in version control; this is what the cluster holds, whoever changed it. The file can be
applied: it has neither states nor what the server adds. Old files go only after a new one is there.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

KINDS = (
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("v1", "PersistentVolumeClaim"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("batch/v1", "CronJob"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("policy/v1", "PodDisruptionBudget"),
    ("ray.io/v1", "RayCluster"),
    ("ray.io/v1", "RayService"),
)
"""What is written; its Role allows to read just these."""
REQUEST_TIMEOUT_S = 30.0
DAY_S = 86_400.0
_SERVERS_OWN = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid")

Object = Mapping[str, Any]


def plain(found: Object) -> dict[str, Any]:
    """Return the object as one would write it: no status, nothing that the server adds by itself."""
    metadata = {name: value for name, value in found["metadata"].items() if name not in _SERVERS_OWN}
    return {**{name: value for name, value in found.items() if name != "status"}, "metadata": metadata}


def write(objects: Sequence[Object], folder: Path, now: datetime, keep_days: float) -> Path:
    """Write the objects into a new file of `folder` and delete older ones than `keep_days`; return the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{now:%Y%m%dT%H%M%SZ}.yaml"
    draft = path.with_suffix(".partial")
    draft.write_text(yaml.safe_dump_all([plain(one) for one in objects], sort_keys=False))
    draft.rename(path)
    for older in folder.glob("*.yaml"):
        if older != path and now.timestamp() - older.stat().st_mtime > keep_days * DAY_S:
            older.unlink()
    return path


def owned(found: Object) -> bool:
    """Tell whether another object makes this one, as a RayService its RayCluster."""
    return bool(found["metadata"].get("ownerReferences"))


def read(namespace: str) -> Iterator[Object]:
    """Yield every object of `KINDS` that was applied by someone; raises ApiException where it may not be read."""
    from kubernetes import client, config
    from kubernetes.dynamic import DynamicClient

    config.load_config()
    with client.ApiClient() as api:
        dynamic = DynamicClient(api)
        for version, kind in KINDS:
            resource = dynamic.resources.get(api_version=version, kind=kind)
            found = resource.get(namespace=namespace, _request_timeout=REQUEST_TIMEOUT_S).to_dict()
            yield from ({"apiVersion": version, "kind": kind, **one} for one in found["items"] if not owned(one))


def main(arguments: Sequence[str] | None = None) -> int:
    """Back up; 1 when the API server cannot be asked."""
    from kubernetes.config import ConfigException
    from kubernetes.dynamic.exceptions import DynamicApiError
    from urllib3.exceptions import HTTPError

    parser = argparse.ArgumentParser(
        prog="python -m cluster.back_up_configuration", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--folder", type=Path, required=True, help="where the files go")
    parser.add_argument("--keep-days", type=float, default=90.0, help="older files are deleted (default: 90)")
    options = parser.parse_args(arguments)
    begin = time.monotonic()
    try:
        objects = list(read(options.namespace))
    except (ConfigException, DynamicApiError, HTTPError) as error:
        print(f"error: the objects of {options.namespace} could not be read: {error}", file=sys.stderr)
        return 1
    path = write(objects, options.folder, datetime.now(UTC), options.keep_days)
    print(f"backed up: {path.name}, {len(objects)} objects, {time.monotonic() - begin:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
