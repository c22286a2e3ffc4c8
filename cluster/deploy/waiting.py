"""Bounded waiting: until something is as wanted, has failed for good, or time is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from cluster.deploy.errors import DeployError

POLL_S = 2.0
Report = Callable[[str, str, str], None]
"""Told of each part's state: (part, `working`, `up` or `failed`, text)."""


@dataclass(frozen=True)
class State:
    """How far something is: `text` for people, `failed` when waiting longer is in vain."""

    done: bool
    text: str
    failed: bool = False


def wait_until(
    part: str,
    look: Callable[[], State],
    *,
    timeout_s: float,
    report: Report,
    explain: Callable[[], DeployError] | None = None,
) -> None:
    """Look again and again until it is done; raises what `explain` makes of it when it fails or time is over."""
    deadline = time.monotonic() + timeout_s
    while True:
        state = look()
        if state.done:
            report(part, "up", state.text)
            return
        if state.failed or time.monotonic() > deadline:
            why = state.text if state.failed else f"not ready after {timeout_s:.0f} s: {state.text}"
            report(part, "failed", why)
            found = DeployError("") if explain is None else explain()
            raise DeployError(f"{part}: {why}", evidence=found.evidence, next_steps=found.next_steps)
        report(part, "working", state.text)
        time.sleep(POLL_S)
