"""From the stabilised size to the one that is set: bounds and rates, and which of them held it."""

from __future__ import annotations

from alpharay.autoscaling.horizontal_pod_autoscaler import Behavior, HorizontalPodAutoscaler
from alpharay.autoscaling.rate_limits import ScaleEvents, scale_down_limit, scale_up_limit

UNLIMITED = "DesiredWithinRange"
_FACTOR_WITHOUT_BEHAVIOR = 2
_ALWAYS_ALLOWED_WITHOUT_BEHAVIOR = 4


def limit(current: int, wanted: int, autoscaler: HorizontalPodAutoscaler) -> tuple[int, str]:
    """Return the size and the reason when no `behavior` is written: at most double, but four are always allowed."""
    rate = max(_FACTOR_WITHOUT_BEHAVIOR * current, _ALWAYS_ALLOWED_WITHOUT_BEHAVIOR)
    if wanted < autoscaler.min_replicas:
        return autoscaler.min_replicas, "TooFewReplicas"
    if wanted > min(autoscaler.max_replicas, rate):
        return min(autoscaler.max_replicas, rate), (
            "ScaleUpLimit" if autoscaler.max_replicas > rate else "TooManyReplicas"
        )
    return wanted, UNLIMITED


def limit_with_behavior(
    current: int, wanted: int, autoscaler: HorizontalPodAutoscaler, behavior: Behavior, events: ScaleEvents, now_ms: int
) -> tuple[int, str]:
    """Return the size and the reason under the policies of `behavior`; a rate never turns a change round."""
    if wanted > current:
        rate = max(current, scale_up_limit(current, events, behavior.scale_up, now_ms))
        most = min(autoscaler.max_replicas, rate)
        if wanted > most:
            return most, "ScaleUpLimit" if autoscaler.max_replicas > rate else "TooManyReplicas"
    elif wanted < current:
        rate = min(current, scale_down_limit(current, events, behavior.scale_down, now_ms))
        fewest = max(autoscaler.min_replicas, rate)
        if wanted < fewest:
            return fewest, "ScaleDownLimit" if autoscaler.min_replicas < rate else "TooFewReplicas"
    return wanted, UNLIMITED
