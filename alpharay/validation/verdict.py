"""From evidence to a status: every gate's outcome, and what it means in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Status = Literal["VALIDATED", "REJECTED", "INSUFFICIENT"]
Outcome = Literal["passed", "failed", "insufficient", "not_reached"]

PERMUTATION = "permutation"
WALK_FORWARD = "walk_forward"
NEIGHBOURHOOD = "neighbourhood"
COST_STRESS = "cost_stress"
FALSE_DISCOVERY = "false_discovery"
UNSEEN = "unseen"
GATES = (PERMUTATION, WALK_FORWARD, NEIGHBOURHOOD, COST_STRESS, FALSE_DISCOVERY, UNSEEN)
"""All gates, in the order in which they are asked."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One question and its answer."""

    name: str
    outcome: Outcome
    value: float | None
    """What was measured; None when it could not be."""
    threshold: float | None
    text: str
    """One sentence for people."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The status, and every gate that led to it."""

    status: Status
    gates: tuple[Gate, ...]
    text: str


def at_most(name: str, value: float, threshold: float, text: str) -> Gate:
    """Return the gate that passes up to a threshold; NaN fails."""
    return Gate(name, "passed" if value <= threshold else "failed", value, threshold, text)


def above(name: str, value: float, threshold: float, text: str) -> Gate:
    """Return the gate that passes above a threshold; NaN fails."""
    return Gate(name, "passed" if value > threshold else "failed", value, threshold, text)


def at_least(name: str, value: float, threshold: float, text: str) -> Gate:
    """Return the gate that passes from a threshold on; NaN fails."""
    return Gate(name, "passed" if value >= threshold else "failed", value, threshold, text)


def insufficient(name: str, value: float | None, threshold: float | None, text: str) -> Gate:
    """Return the gate that cannot be answered yet."""
    return Gate(name, "insufficient", value, threshold, text)


def not_reached(name: str, text: str) -> Gate:
    """Return the gate that was not asked, because one before it did not pass."""
    return Gate(name, "not_reached", None, None, text)


def all_passed(gates: Sequence[Gate]) -> bool:
    """Tell whether every gate passed."""
    return all(gate.outcome == "passed" for gate in gates)


def verdict(gates: Sequence[Gate]) -> Verdict:
    """Return the verdict: one failed gate rejects, one unanswered leaves it open, otherwise the strategy is validated.

    A gate that was not reached changes nothing: what came before it has decided. Raises ValueError without a gate.
    """
    if not gates:
        raise ValueError("a verdict needs at least one gate, was none")
    failed = [gate for gate in gates if gate.outcome == "failed"]
    open_ones = [gate for gate in gates if gate.outcome == "insufficient"]
    if failed:
        text = f"Rejected. {' '.join(gate.text for gate in failed)} Do not trade it."
        return Verdict("REJECTED", tuple(gates), text)
    if open_ones:
        text = f"Undecided: there is not enough evidence yet. {' '.join(gate.text for gate in open_ones)}"
        return Verdict("INSUFFICIENT", tuple(gates), text)
    if not all_passed(gates):
        raise ValueError("a gate was not reached although all before it passed")
    text = f"Validated: every gate passed. {' '.join(gate.text for gate in gates)} It can still stop working."
    return Verdict("VALIDATED", tuple(gates), text)
