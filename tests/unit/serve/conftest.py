"""The portfolio service that its tests turn."""

from __future__ import annotations

import pytest
from portfolio_bench import Bench


@pytest.fixture
def bench() -> Bench:
    """Return the service with its accounts read."""
    made = Bench()
    made.accounts.refresh()
    return made
