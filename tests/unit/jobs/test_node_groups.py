"""Work asks for the nodes of its groups, or for none."""

from __future__ import annotations

import pytest

from alpharay.node_groups import on_groups


@pytest.mark.parametrize("groups", ["", " ", " , "])
def test_without_groups_work_runs_anywhere(groups: str) -> None:
    assert on_groups(groups) == {}


@pytest.mark.parametrize(("groups", "selected"), [("a", "in(a)"), ("cpu-optimised, spot,", "in(cpu-optimised,spot)")])
def test_work_runs_on_any_of_its_groups(groups: str, selected: str) -> None:
    assert on_groups(groups) == {"label_selector": {"alpharay.dev/group": selected}}
