"""Commands that build, and the time that all of them may take together."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from cluster.local.process import PartFailedError, complete
from tests.kubernetes.node.folders import CACHE

MINUTES = "ALPHARAY_NODE_BUILD_MINUTES"
"""How long this process may build; an hour unless told. What was built by then is kept for the next one."""


class BuildTimeIsOverError(RuntimeError):
    """The time for building is over before all of it was done."""


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    working_folder: Path | None = None,
) -> None:
    """Run a command that builds; raises BuildTimeIsOverError, or PartFailedError with what it printed."""
    left = _until() - time.monotonic()
    if left <= 0:
        raise BuildTimeIsOverError(_over())
    # By timeout(1): it ends what the command started, too.
    within = ["timeout", "--kill-after=20", f"{left:.0f}", *command]
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        complete(CACHE, within, environment=environment, working_folder=working_folder, seconds=left + 60.0)
    except PartFailedError as error:
        if time.monotonic() >= _until():
            raise BuildTimeIsOverError(_over()) from error
        raise


@lru_cache(maxsize=1)
def _until() -> float:
    """Return when building must end: counted from the first command."""
    return time.monotonic() + _minutes() * 60.0


def _minutes() -> float:
    return float(os.environ.get(MINUTES) or 60)


def _over() -> str:
    return (
        f"programs and images were not built within {_minutes():.0f} minutes ({MINUTES}); "
        "what was built is kept: run again, or `make node-up` first"
    )
