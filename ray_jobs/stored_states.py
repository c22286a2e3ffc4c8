"""Searches between two rounds as the database keeps them, and how one is gone on with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import structlog

from alpharay.bus.messages import DiscoveryRequest
from alpharay.discovery.checkpoint import Checkpoint, CheckpointError, checkpoint_bytes, checkpoint_from, joined
from alpharay.discovery.rule_checkpoint import RuleCheckpoint, rule_checkpoint_bytes, rule_checkpoint_from
from alpharay.store.checkpoints import StoredCheckpoint
from ray_jobs.discovery_messages import searched_timeframe

ContentOf = Callable[[DiscoveryRequest], StoredCheckpoint]
"""Makes what is to be stored of a request's search; called only when it is stored."""

State = TypeVar("State")
Result = TypeVar("Result")

log = structlog.get_logger(__name__)


def contents_of_search(checkpoint: Checkpoint) -> ContentOf:
    """Return how the searches of a checkpoint are stored, each by itself."""

    def content(request: DiscoveryRequest) -> StoredCheckpoint:
        search = checkpoint.of(request.strategy_name, searched_timeframe(request))
        only = Checkpoint(() if search is None else (search,))
        return StoredCheckpoint(0 if search is None else len(search.log), checkpoint_bytes(only))

    return content


def contents_of_evolution(checkpoint: RuleCheckpoint) -> ContentOf:
    """Return how an evolution is stored."""
    return lambda _: StoredCheckpoint(len(checkpoint.log), rule_checkpoint_bytes(checkpoint))


def stored_search(stored: Mapping[str, StoredCheckpoint]) -> Checkpoint | None:
    """Return the searches that are stored, together; None when none of them can be read."""
    found = _read(stored, checkpoint_from)
    return joined(found) if found else None


def stored_evolution(stored: Mapping[str, StoredCheckpoint]) -> RuleCheckpoint | None:
    """Return the evolution that is stored; None when it cannot be read."""
    return next(iter(_read(stored, rule_checkpoint_from)), None)


def go_on(state: State | None, search: Callable[[State | None], Result]) -> Result:
    """Return what a search from `state` finds, or from the beginning where the state is of another configuration.

    Candles were corrected since, say, or this code counts differently: what was found so far does not hold.
    """
    try:
        return search(state)
    except CheckpointError as error:
        log.warning("discovery.begins_anew", reason=str(error))
        return search(None)


def _read(stored: Mapping[str, StoredCheckpoint], read: Callable[[bytes], State]) -> list[State]:
    found = []
    for run_id, checkpoint in stored.items():
        try:
            found.append(read(checkpoint.content))
        except CheckpointError as error:
            log.warning("discovery.begins_anew", run_id=run_id, reason=str(error))
    return found
