"""A real Kubernetes node with KubeRay's operator, for all tests of this folder; without root they are left out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kubernetes.dev_cluster import apply_overlay, signal, symbols, wait_for, wait_until_ready
from tests.kubernetes.node import building, machine, node

PLACES = {"test_alert_rules.py": -2, "test_dev_overlay.py": -1, "test_chart.py": 1, "test_many_nodes.py": 2}
"""Files that do not stand where their names are: what brings the overlay up is measured before any other needs it, and
what wants the machine for itself removes it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the files into the order in which they can build on each other; tests stay in theirs."""
    items.sort(key=lambda one: PLACES.get(one.path.name, 0))


@pytest.fixture(scope="session")
def kubernetes() -> Iterator[None]:
    """Bring the node up, unless it is; take down what was brought up."""
    reason = machine.why_not()
    if reason is not None:
        pytest.skip(reason)
    was_up = node.is_up()
    try:
        node.up()
    except building.BuildTimeIsOverError as error:
        node.down()
        pytest.skip(str(error))
    yield
    if not was_up:
        node.down()


@pytest.fixture(scope="session")
def dev(kubernetes: None) -> None:
    """The dev overlay, every pod ready and both markets' signals served; what is there already stays as it is."""
    apply_overlay()
    wait_until_ready()
    wait_for("both markets", lambda: symbols() >= {"SPX/USD", "IXIC/USD"})
    wait_for("a signal", lambda: signal("SPX")[0] == 200, 180.0)
