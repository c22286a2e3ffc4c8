"""What the autoscaling policies of this Serve controller remember beyond a redeploy.

Serve makes a new policy, with an empty state, whenever a deployment's configuration changes; Kubernetes' controller
keeps an autoscaler's history through an edit. The policy's own module travels by value, this one does not: its
dictionary lives as long as the controller's process.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from alpharay.autoscaling.autoscaler import AutoscalerState

MOST_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class PolicyState:
    """A deployment's autoscaling between two calls.

    Attributes
    ----------
    due_ms : when the next sync is due.
    first_seen_ms : since when each running replica runs.
    restarted : whether history was lost before the next sync.
    errors : syncs that failed and held the target.
    """

    due_ms: int
    autoscaler: AutoscalerState = field(default_factory=AutoscalerState)
    first_seen_ms: Mapping[str, int] = field(default_factory=dict)
    restarted: bool = True
    syncs: int = 0
    errors: int = 0
    last_error: str | None = None


_states: OrderedDict[tuple[str, str], PolicyState] = OrderedDict()


def recall(app: str, deployment: str) -> PolicyState | None:
    """Return what was last remembered of a deployment."""
    return _states.get((app, deployment))


def remember(app: str, deployment: str, state: PolicyState) -> None:
    """Keep a deployment's state; the one that was kept longest ago gives way."""
    _states[app, deployment] = state
    _states.move_to_end((app, deployment))
    while len(_states) > MOST_REMEMBERED:
        _states.popitem(last=False)
