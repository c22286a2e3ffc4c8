"""What every test shares: how Hypothesis works."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No test may depend on how fast the machine is; a check of a change tries the same examples each time.
settings.register_profile(
    "alpharay",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("alpharay")
