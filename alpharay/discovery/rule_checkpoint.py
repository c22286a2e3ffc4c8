"""An evolution of rules between two generations, as a value and as bytes: what goes on from it ends the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from alpharay.discovery.checkpoint import CheckpointError, packed, unpacked
from alpharay.discovery.genome_keys import KeyArray
from alpharay.discovery.report import Generation, StopReason
from alpharay.discovery.rule_tree import RulePair, pair_from_text
from alpharay.market.candles import FloatArray

VERSION = 1
"""Grows whenever the bytes, or what a generation does with them, change: old checkpoints are then refused."""

MAGIC = b"alpharay-rules"

RuleText = tuple[str, str]
"""An entry and an exit rule as text."""


@dataclass(frozen=True, slots=True)
class RuleCheckpoint:
    """An evolution between two generations; the random numbers of the next follow from the seed and their number."""

    configuration: dict[str, str]
    """Everything that decides what it finds, by name."""
    population: tuple[RuleText, ...]
    population_metrics: FloatArray
    """A row of metrics for each rule pair."""
    best: tuple[RuleText, ...]
    best_metrics: FloatArray
    tried: KeyArray
    """Keys of all pairs that were evaluated: they are counted once."""
    stagnant: int
    """Generations since the best score was reached."""
    log: tuple[Generation, ...]
    stop_reason: StopReason | None
    """Set when the evolution has ended."""
    backtest_s: float
    elapsed_s: float


def rule_checkpoint_bytes(checkpoint: RuleCheckpoint) -> bytes:
    """Return the checkpoint as bytes; see `alpharay.discovery.checkpoint`."""
    return packed(checkpoint, MAGIC, VERSION)


def rule_checkpoint_from(data: bytes) -> RuleCheckpoint:
    """Return the checkpoint that `rule_checkpoint_bytes` wrote; raises CheckpointError for any other bytes."""
    return unpacked(data, RuleCheckpoint, MAGIC, VERSION)


def rule_key(pair: RulePair) -> int:
    """Return a 64-bit key; equal pairs have equal keys."""
    return int.from_bytes(hashlib.blake2b(str(pair).encode(), digest_size=8).digest(), "big")


def key_array(keys: Iterable[int]) -> KeyArray:
    """Return the keys, sorted."""
    return np.array(sorted(keys), dtype=np.uint64)


def rule_texts(pairs: Iterable[RulePair]) -> tuple[RuleText, ...]:
    """Return pairs as text."""
    return tuple((str(pair.enter), str(pair.exit)) for pair in pairs)


def rule_pairs(texts: Iterable[RuleText]) -> list[RulePair]:
    """Return the pairs of texts; raises CheckpointError for rules that this code does not know."""
    try:
        return [pair_from_text(*text) for text in texts]
    except ValueError as error:
        raise CheckpointError(f"the checkpoint is of other rules: {error}; begin the search anew") from error
