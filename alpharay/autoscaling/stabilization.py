"""Recent proposals, and the size that they allow now: a noisy wish keeps the size that there is."""

from __future__ import annotations

from dataclasses import dataclass

from alpharay.autoscaling.horizontal_pod_autoscaler import ScalingRules


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A proposal as it was before any limit, and its time."""

    replicas: int
    at_ms: int


Recommendations = tuple[Recommendation, ...]


def stabilize(
    recommendations: Recommendations, proposed: int, now_ms: int, window_s: int
) -> tuple[int, Recommendations]:
    """Return the highest proposal of the window, one exactly as old as the window included: no `behavior` is written.

    The new proposal takes the place of the last one that is out of date.
    """
    cutoff = now_ms - window_s * 1000
    highest = max([proposed, *(one.replicas for one in recommendations if one.at_ms >= cutoff)])
    outdated = [index for index, one in enumerate(recommendations) if one.at_ms < cutoff]
    return highest, _recorded(recommendations, Recommendation(proposed, now_ms), outdated)


def stabilize_both_ways(
    recommendations: Recommendations,
    proposed: int,
    current: int,
    now_ms: int,
    *,
    up_window_s: int,
    down_window_s: int,
) -> tuple[int, Recommendations]:
    """Return the current size, moved as little as both windows allow; a proposal as old as its window is outside."""
    up_cutoff = now_ms - up_window_s * 1000
    down_cutoff = now_ms - down_window_s * 1000
    lowest = min([proposed, *(one.replicas for one in recommendations if one.at_ms > up_cutoff)])
    highest = max([proposed, *(one.replicas for one in recommendations if one.at_ms > down_cutoff)])
    outdated = [index for index, one in enumerate(recommendations) if one.at_ms < min(up_cutoff, down_cutoff)]
    return min(max(current, lowest), highest), _recorded(recommendations, Recommendation(proposed, now_ms), outdated)


def window_s(rules: ScalingRules, otherwise: int) -> int:
    """Return the direction's window, or the controller's where none is written."""
    return otherwise if rules.stabilization_s is None else rules.stabilization_s


def _recorded(recommendations: Recommendations, new: Recommendation, outdated: list[int]) -> Recommendations:
    if not outdated:
        return (*recommendations, new)
    return (*recommendations[: outdated[-1]], new, *recommendations[outdated[-1] + 1 :])
