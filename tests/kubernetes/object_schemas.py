"""JSON schemas of every kind of object that the API server takes, its own and those of custom resources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.kubernetes.node.kubectl import kubectl

TEMPLATE = "{{.ResourceKind}}-{{.Group}}-{{.ResourceAPIVersion}}.json"
"""A schema's file, as kubeconform writes down its parts; `Group` is the version where a kind has no group."""

_KINDS = "x-kubernetes-group-version-kind"
_ANYTHING = "x-kubernetes-preserve-unknown-fields"


def write_schemas(folder: Path) -> None:
    """Write one file for each kind, in which a field that the kind does not have is an error."""
    for path in json.loads(kubectl("get", "--raw", "/openapi/v3"))["paths"]:
        if not path.startswith(("api/", "apis/")):
            continue
        components = json.loads(kubectl("get", "--raw", f"/openapi/v3/{path}")).get("components", {})
        for schema in components.get("schemas", {}).values():
            _close(schema)
        for name, schema in components.get("schemas", {}).items():
            for kind in schema.get(_KINDS, []):
                if f"{kind['group']}/{kind['version']}".strip("/") != path.partition("/")[2]:
                    continue
                file = f"{kind['kind']}-{kind['group'] or kind['version']}-{kind['version']}.json".lower()
                content = {"$ref": f"#/components/schemas/{name}", "components": components}
                (folder / file).write_text(json.dumps(content))


def _close(schema: Any) -> None:
    """Let nothing stand beside the fields that a schema names, in it and in what it holds."""
    if isinstance(schema, list):
        for one in schema:
            _close(one)
    if not isinstance(schema, dict):
        return
    if "properties" in schema and not schema.get(_ANYTHING) and "additionalProperties" not in schema:
        schema["additionalProperties"] = False
    for name, one in schema.items():
        # A field's name may be `properties` or `default` itself: its schema is looked into, its default is not.
        if name == "properties":
            for field in one.values():
                _close(field)
        elif name not in {"default", "enum", "example"}:
            _close(one)
