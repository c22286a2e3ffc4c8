"""What one metric asks for, or why it cannot be told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MetricStatus:
    """A metric's present value: `utilization` in percent, the others in thousandths; None where it has no meaning."""

    name: str
    utilization: int | None = None
    average_milli: int | None = None
    total_milli: int | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """The replicas that one metric asks for, before stabilisation and limits, and what the controller calls it."""

    replicas: int
    metric: str
    status: MetricStatus


class InvalidMetricError(Exception):
    """A metric whose replicas cannot be computed: `reason` is the condition's."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How far a ratio may lie from one, on either side, without a change; both ends included."""

    down: float
    up: float

    def contain(self, usage_ratio: float) -> bool:
        """Return whether the ratio is near enough to one."""
        return (1.0 - self.down) <= usage_ratio <= (1.0 + self.up)
