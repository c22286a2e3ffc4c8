"""How many consumers a topic needs: its lag as an External metric of the same autoscaler.

The lag of a consumer group is summed over the partitions, as a Kafka exporter's `kafka_consumergroup_lag` is; the
target is the lag that one consumer may have (`averageValue`). More consumers than partitions would stand idle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from alpharay.autoscaling.autoscaler import AutoscalerState, Decision, synchronize
from alpharay.autoscaling.horizontal_pod_autoscaler import (
    AverageValue,
    Behavior,
    ControllerSettings,
    ExternalMetric,
    HorizontalPodAutoscaler,
)
from alpharay.autoscaling.samples import Pod, Readiness, Samples, Unavailable

CONSUMER_LAG = "kafka_consumergroup_lag"


@dataclass(frozen=True, slots=True)
class PartitionPosition:
    """A partition's end and the position of the group in it; None where the group has not begun.

    Without a position the group has everything from `start_offset` before it.
    """

    end_offset: int
    position: int | None
    start_offset: int = 0

    @property
    def lag(self) -> int:
        """Return how many messages wait; a position beyond the end, after a topic was made anew, is no lag."""
        begun = self.start_offset if self.position is None else max(self.position, self.start_offset)
        return max(0, self.end_offset - begun)


Positions = Mapping[tuple[str, int], PartitionPosition]
"""The group's positions by topic and partition."""


def consumer_autoscaler(
    *,
    min_consumers: int,
    max_consumers: int,
    lag_per_consumer: int,
    behavior: Behavior | None = None,
    name: str = "consumers",
) -> HorizontalPodAutoscaler:
    """Return the autoscaler of a consumer group; raises ValueError for bounds that cannot hold."""
    for field, value in (("min_consumers", min_consumers), ("lag_per_consumer", lag_per_consumer)):
        if value < 1:
            raise ValueError(f"{field} must be at least 1, was {value}")
    if max_consumers < min_consumers:
        raise ValueError(f"max_consumers must be at least min_consumers, {min_consumers}, was {max_consumers}")
    metric = ExternalMetric(CONSUMER_LAG, AverageValue(lag_per_consumer * 1000))
    return HorizontalPodAutoscaler(min_consumers, max_consumers, (metric,), behavior, name=name)


class ConsumerLagScaler:
    """Decides the number of a group's consumers, once a sync period, from the positions that it is handed."""

    def __init__(self, autoscaler: HorizontalPodAutoscaler, settings: ControllerSettings | None = None) -> None:
        strangers = [
            metric
            for metric in autoscaler.metrics
            if not (isinstance(metric, ExternalMetric) and metric.name == CONSUMER_LAG)
        ]
        if strangers:
            raise ValueError(f"a consumer group scales on the External metric {CONSUMER_LAG} only, was {strangers[0]}")
        self._autoscaler = autoscaler
        self._settings = settings or ControllerSettings()
        self.state = AutoscalerState()

    def synchronize(self, now_ms: int, consumers: int, positions: Positions | None) -> Decision:
        """Return the decision for `consumers` wanted now.

        Without positions (None when Kafka is silent, or none at all) the number stays.
        """
        autoscaler = self._within_partitions(len(positions)) if positions else self._autoscaler
        samples = self.samples(now_ms, consumers, positions)
        decision, self.state = synchronize(autoscaler, self.state, samples, self._settings)
        return decision

    def samples(self, now_ms: int, consumers: int, positions: Positions | None) -> Samples:
        """Return what `synchronize` decides on: consumers as ready pods, a series for each partition."""
        ready = Readiness(ready=True, since_ms=now_ms)
        series: tuple[int, ...] | Unavailable = Unavailable("the positions of the consumer group could not be read")
        if positions:
            series = tuple(position.lag * 1000 for position in positions.values())
        return Samples(
            observed_ms=now_ms,
            spec_replicas=consumers,
            status_replicas=consumers,
            pods=tuple(Pod(f"consumer-{index}", {}, readiness=ready) for index in range(consumers)),
            external_metrics={CONSUMER_LAG: series},
        )

    def _within_partitions(self, partitions: int) -> HorizontalPodAutoscaler:
        most = max(self._autoscaler.min_replicas, min(self._autoscaler.max_replicas, partitions))
        return replace(self._autoscaler, max_replicas=most)
