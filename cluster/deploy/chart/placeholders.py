"""Marks that stand for a value while manifests are still data, and what they become in a template."""

from __future__ import annotations

import re
from typing import Any

import yaml

_OPEN, _CLOSE = "⟦", "⟧"
_MARK = re.compile(rf"{_OPEN}(\w+) ([\w.]+){_CLOSE}")
# A storage class that is not named must not be there at all: an empty one means a volume that is made by hand.
_CLASS_LINE = re.compile(rf"^( *)storageClassName: {_OPEN}class ([\w.]+){_CLOSE}\n", re.MULTILINE)
_ACTIONS = {
    "part": "{{{{ .Values.{} }}}}",
    "text": "{{{{ .Values.{} | quote }}}}",
    "number": "{{{{ .Values.{} }}}}",
    "mapping": "{{{{ toJson .Values.{} }}}}",
    "namespace": "{{{{ .Release.{} }}}}",
}
NAMESPACE = f"{_OPEN}namespace Namespace{_CLOSE}"


def mark(kind: str, *path: str) -> str:
    """Return the mark of a value: `text`, `part` (of a text), `number`, `mapping`, or `class` (of storage)."""
    return f"{_OPEN}{kind} {'.'.join(path)}{_CLOSE}"


def as_template(manifest: Any) -> str:
    """Return an object with marks as the text of a Helm template; what looks like a template in it stays text."""
    dumped: str = yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=10**6, allow_unicode=True)
    escaped = dumped.replace("{{", '{{ "{{" }}')
    classes = "{{- with .Values.\\2 }}\n\\1storageClassName: {{ . | quote }}\n\\1{{- end }}\n"
    return _MARK.sub(lambda found: _ACTIONS[found[1]].format(found[2]), _CLASS_LINE.sub(classes, escaped))


class _Dumper(yaml.SafeDumper):  # type: ignore[misc] # PyYAML carries no types
    """Writes scripts as blocks, so that people can read them."""

    def ignore_aliases(self, _: Any) -> bool:
        """Write out what is there twice: an anchor says nothing to a reader."""
        return True


def _represent(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _represent)
