"""promtool takes rules, settings and every panel's query; rules fire when they should and are quiet when they should.

It is Debian's: fetched and unpacked beside the node's programs. No node runs for this.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from cluster.alert_rules import COPY
from cluster.dashboards import DASHBOARDS
from tests.kubernetes.node import debian

pytestmark = [
    pytest.mark.smoke,
    pytest.mark.skipif(
        shutil.which("apt-get") is None or os.geteuid() != 0,
        reason="promtool is taken from Debian's package prometheus, by root",
    ),
]

TESTS = sorted(Path(__file__).with_name("alert_tests").glob("*.yaml"))


def promtool(folder: Path, *words: str) -> None:
    """Run promtool in a folder; what it finds wrong fails the test."""
    command = [debian.program("prometheus", "promtool"), *words]
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=250, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


def test_the_rules_load_and_fire_as_told(tmp_path: Path) -> None:
    shutil.copy(COPY, tmp_path / "rules.yaml")
    assert TESTS
    for file in TESTS:
        shutil.copy(file, tmp_path)
    for words in (["check", "rules", "rules.yaml"], ["test", "rules", *(file.name for file in TESTS)]):
        promtool(tmp_path, *words)


def test_the_settings_are_taken(tmp_path: Path) -> None:
    content = yaml.safe_load((COPY.parent / "prometheus.yml").read_text())
    # The paths are those of the pod, and Debian's promtool is built without Kubernetes' discovery.
    content["rule_files"] = [str(COPY)]
    assert content["scrape_configs"][0].pop("kubernetes_sd_configs")[0]["role"] == "pod"
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(content))
    promtool(tmp_path, "check", "config", "prometheus.yml")


def test_every_panel_is_understood(tmp_path: Path) -> None:
    queries = [query for one in DASHBOARDS for panel in one.panels for query in panel.queries.values()]
    asked = [
        {"record": f"panel:{number}", "expr": query.replace("$here", 'namespace="a"')}
        for number, query in enumerate(queries)
    ]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": asked}]}))
    promtool(tmp_path, "check", "rules", "rules.yaml")
