"""On which Ray nodes work runs, where a cluster has groups of them."""

from __future__ import annotations

from typing import Any

LABEL = "alpharay.dev/group"
"""The label of Ray's nodes that names their group, as the manifests set it."""


def on_groups(groups: str) -> dict[str, Any]:
    """Return the options of an actor or a task that runs on nodes of these groups alone; empty: on any node.

    `groups` are names, separated by commas. Work whose groups have no node waits until the autoscaler adds one.
    """
    names = [name.strip() for name in groups.split(",") if name.strip()]
    return {"label_selector": {LABEL: f"in({','.join(names)})"}} if names else {}
