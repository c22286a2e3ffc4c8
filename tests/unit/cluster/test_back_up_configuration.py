"""What is written of a namespace can be applied, and old files go only after a new one is there."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import yaml

from cluster.back_up_configuration import KINDS, owned, write
from tests.unit.cluster.rendered import COMPONENTS

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
FOUND = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "a", "uid": "1", "resourceVersion": "7", "managedFields": [{}], "labels": {"app": "x"}},
    "data": {"A": "1"},
    "status": {"ready": True},
}


def test_a_file_holds_what_was_written_and_nothing_of_the_server(tmp_path: Path) -> None:
    path = write([FOUND], tmp_path / "configuration", NOON, keep_days=90)
    assert path.name == "20261121T120000Z.yaml"
    (kept,) = yaml.safe_load_all(path.read_text())
    assert kept == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "labels": {"app": "x"}},
        "data": {"A": "1"},
    }
    assert list(path.parent.iterdir()) == [path]


def test_older_files_than_the_days_are_deleted(tmp_path: Path) -> None:
    for name, days in (("old.yaml", 91), ("young.yaml", 89)):
        (tmp_path / name).write_text("")
        moment = NOON.timestamp() - days * 86_400
        os.utime(tmp_path / name, (moment, moment))
    write([], tmp_path, NOON, keep_days=90)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["20261121T120000Z.yaml", "young.yaml"]


def test_what_a_controller_makes_is_left_to_it() -> None:
    assert owned({"metadata": {"ownerReferences": [{"kind": "RayService"}]}})
    assert not owned(FOUND)


def test_the_role_allows_what_is_read_and_no_more() -> None:
    documents = yaml.safe_load_all((COMPONENTS / "back-up/configuration.yaml").read_text())
    (role,) = [one for one in documents if one["kind"] == "Role"]
    allowed = {
        (group, resource)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if rule["verbs"] == ["list"]
    }
    plural = {kind: kind.lower().removesuffix("y") + ("ies" if kind.endswith("y") else "s") for _, kind in KINDS}
    assert allowed == {(version.rpartition("/")[0], plural[kind]) for version, kind in KINDS}
    assert "Secret" not in plural
