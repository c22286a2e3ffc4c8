"""How far one sync may move the count: the policies of `behavior` over the changes of their periods."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from alpharay.autoscaling.horizontal_pod_autoscaler import ScalingPolicy, ScalingRules
from alpharay.autoscaling.machine_numbers import ceil_int32, int32_of, int32_wrapped


@dataclass(frozen=True, slots=True)
class ScaleEvent:
    """A change by `change` replicas. Out of date, it counts until a new event takes its place."""

    change: int
    at_ms: int
    outdated: bool = False


@dataclass(frozen=True, slots=True)
class ScaleEvents:
    """The changes that policies count; manual ones are not among them."""

    up: tuple[ScaleEvent, ...] = ()
    down: tuple[ScaleEvent, ...] = ()

    def recorded(self, change: int, at_ms: int, rules: ScalingRules) -> ScaleEvents:
        """Return the events with a change up (positive) or down, which `rules` are the direction's of."""
        longest_s = max((policy.period_s for policy in rules.policies), default=0)
        if change > 0:
            return replace(self, up=_with_event(self.up, ScaleEvent(change, at_ms), longest_s))
        return replace(self, down=_with_event(self.down, ScaleEvent(-change, at_ms), longest_s))

    def count_at_start(self, current: int, period_s: int, now_ms: int) -> int:
        """Return the replicas when the period began, as far as these events tell; it may be negative."""
        cutoff = now_ms - period_s * 1000
        added = sum(event.change for event in self.up if event.at_ms > cutoff)
        removed = sum(event.change for event in self.down if event.at_ms > cutoff)
        return int32_wrapped(current - added + removed)


def scale_up_limit(current: int, events: ScaleEvents, rules: ScalingRules, now_ms: int) -> int:
    """Return the most replicas that the policies allow now."""
    if rules.select_policy == "Disabled":
        return current
    limits = (_most(policy, events.count_at_start(current, policy.period_s, now_ms)) for policy in rules.policies)
    return min(limits) if rules.select_policy == "Min" else max(limits)


def scale_down_limit(current: int, events: ScaleEvents, rules: ScalingRules, now_ms: int) -> int:
    """Return the fewest replicas that the policies allow now."""
    if rules.select_policy == "Disabled":
        return current
    limits = (_fewest(policy, events.count_at_start(current, policy.period_s, now_ms)) for policy in rules.policies)
    return max(limits) if rules.select_policy == "Min" else min(limits)


def _most(policy: ScalingPolicy, start: int) -> int:
    if policy.kind == "Pods":
        return int32_wrapped(start + policy.value)
    # Rounded up, or a small count would never grow.
    return ceil_int32(float(start) * (1 + float(policy.value) / 100))


def _fewest(policy: ScalingPolicy, start: int) -> int:
    if policy.kind == "Pods":
        return int32_wrapped(start - policy.value)
    return int32_of(float(start) * (1 - float(policy.value) / 100))


def _with_event(events: Iterable[ScaleEvent], new: ScaleEvent, longest_s: int) -> tuple[ScaleEvent, ...]:
    cutoff = new.at_ms - longest_s * 1000
    marked = [replace(event, outdated=True) if event.at_ms < cutoff else event for event in events]
    outdated = [index for index, event in enumerate(marked) if event.outdated]
    if outdated:
        marked[outdated[-1]] = new
    else:
        marked.append(new)
    return tuple(marked)
