"""A real Kubernetes node with KubeRay's operator, for all tests of this folder; without root they are left out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kubernetes.dev_cluster import apply_overlay, signal, symbols, wait_for, wait_until_ready
from tests.kubernetes.node import building, machine, node

LAST = "test_chart.py"
"""It removes the dev overlay, for whose place it has use."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests of one file come last; the others stay in their order."""
    items.sort(key=lambda one: one.path.name == LAST)


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
