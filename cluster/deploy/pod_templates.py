"""The pod templates inside objects, wherever a kind keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Template = Mapping[str, Any]


def pod_templates(value: Any) -> Iterator[Any]:
    """Yield every pod template (what has a `spec` with `containers`) at any depth of an object."""
    if isinstance(value, Mapping):
        if isinstance(value.get("spec"), Mapping) and "containers" in value["spec"]:
            yield value
        else:
            for inner in value.values():
                yield from pod_templates(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from pod_templates(inner)


def containers(template: Template) -> list[Any]:
    """Return a template's containers, those that run first included."""
    return [*template["spec"].get("initContainers", ()), *template["spec"]["containers"]]


def references(template: Template, kind: str) -> dict[str, bool]:
    """Return the ConfigMaps (`configMap`) or Secrets (`secret`) that a template names, and whether it needs them."""
    found: dict[str, bool] = {}

    def add(name: str | None, optional: bool) -> None:
        if name:
            found[name] = found.get(name, False) or not optional

    for container in containers(template):
        for source in container.get("envFrom", ()):
            reference = source.get(f"{kind}Ref", {})
            add(reference.get("name"), reference.get("optional", False))
        for variable in container.get("env", ()):
            reference = variable.get("valueFrom", {}).get(f"{kind}KeyRef", {})
            add(reference.get("name"), reference.get("optional", False))
    for volume in template["spec"].get("volumes", ()):
        sources = [volume, *volume.get("projected", {}).get("sources", ())]
        for source in sources:
            reference = source.get(kind, {})
            add(reference.get("name") or reference.get("secretName"), reference.get("optional", False))
    return found
