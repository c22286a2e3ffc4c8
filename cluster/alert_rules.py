"""The alerts' rules as a file that Prometheus reads without its operator: `python -m cluster.alert_rules`.

The source is components/observability-rules/rules.yaml; a test keeps the copy for components/observability equal to it.
"""

from __future__ import annotations

from pathlib import Path

import yaml

_COMPONENTS = Path(__file__).with_name("components")
SOURCE = _COMPONENTS / "observability-rules" / "rules.yaml"
COPY = _COMPONENTS / "observability" / "settings" / "rules.yaml"


def plain_rules() -> str:
    """Return the content of the copy."""
    groups = yaml.safe_load(SOURCE.read_text())["spec"]
    return "# Made by `python -m cluster.alert_rules`.\n" + yaml.safe_dump(groups, sort_keys=False, width=120)


def main() -> None:
    """Write the copy."""
    COPY.write_text(plain_rules())


if __name__ == "__main__":
    main()
