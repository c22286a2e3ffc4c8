"""No test of this folder waits for the time that passes between two looks."""

from __future__ import annotations

import pytest

from cluster.deploy import waiting


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "POLL_S", 0.0)
