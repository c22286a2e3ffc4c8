"""Which Secrets, and which of their keys, pods cannot start without."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.deploy.pod_templates import Template, containers, references


def secret_keys(templates: Iterable[Template]) -> dict[str, set[str]]:
    """Return, by Secret, the keys that are named one by one; a Secret that is read as a whole has none."""
    needed: dict[str, set[str]] = {}
    for template in templates:
        for name, is_needed in references(template, "secret").items():
            if is_needed:
                needed.setdefault(name, set())
        for container in containers(template):
            for variable in container.get("env", ()):
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                if reference is not None and not reference.get("optional", False):
                    needed.setdefault(reference["name"], set()).add(reference["key"])
    return needed
