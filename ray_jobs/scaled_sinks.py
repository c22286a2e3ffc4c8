"""As many candle sinks as the lag of their topic asks for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
import ray
import structlog
from confluent_kafka import KafkaException
from ray.exceptions import GetTimeoutError, RayActorError

from alpharay.autoscaling.consumer_lag import ConsumerLagScaler, Positions, consumer_autoscaler
from alpharay.autoscaling.horizontal_pod_autoscaler import Behavior, ScalingPolicy, ScalingRules
from alpharay.bus.consumer import TopicMissingError
from alpharay.bus.topics import CANDLES
from alpharay.settings import Settings
from alpharay.store.candle_writer import CandleWriter
from alpharay.store.partition_share import PartitionShare
from alpharay.store.sink_lag import sink_positions
from ray_jobs.candle_sink import CandleSink, sink_name
from ray_jobs.detached_actor import ensure_actor, find_actor

STOP_TIMEOUT_S = 70.0
BEHAVIOR = Behavior(
    scale_up=ScalingRules((ScalingPolicy("Percent", 100, 30),), stabilization_s=60),
    scale_down=ScalingRules((ScalingPolicy("Percent", 10, 60),), stabilization_s=300),
)
"""The seeds' rules of ingestion: at most doubled in 30 s after a minute of lag, one fewer a minute after five."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SinkScaling:
    """Between which numbers the candle sinks scale; there are never more than the topic has partitions.

    Attributes
    ----------
    lag_per_sink : how many candles may wait for one sink; some seconds of its work.
    """

    least: int = 1
    most: int = 4
    lag_per_sink: int = 100_000
    sync_period_s: float = 15.0
    behavior: Behavior = BEHAVIOR

    def __post_init__(self) -> None:
        if not self.sync_period_s > 0.0:
            raise ValueError(f"sync_period_s must be above zero, was {self.sync_period_s}")
        self.scaler()

    def scaler(self) -> ConsumerLagScaler:
        """Return a scaler without a history; raises ValueError for bounds that cannot hold."""
        return ConsumerLagScaler(
            consumer_autoscaler(
                min_consumers=self.least,
                max_consumers=self.most,
                lag_per_consumer=self.lag_per_sink,
                behavior=self.behavior,
                name=sink_name(0),
            )
        )


class ScaledSinks:
    """Keeps the wanted number of sinks in existence, each with its share of the partitions.

    The number is not stored: after a crash of its owner it is what there is, as after a restart of Kubernetes'
    controller, which also begins without a history.
    """

    def __init__(
        self,
        settings: Settings,
        scaling: SinkScaling,
        *,
        read_positions: Callable[[Settings], Positions | None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._scaling = scaling
        self._scaler = scaling.scaler()
        self._read_positions = read_positions or candle_positions
        self._clock = clock
        self._period_ms = round(scaling.sync_period_s * 1000)
        self._due_ms = round(clock() * 1000) + self._period_ms
        self.count = max(scaling.least, _existing())
        self.lag: int | None = None

    def ensure(self) -> dict[str, Any]:
        """Start the sinks that do not exist, tell each its share, and return them by name."""
        sinks = {}
        for index in range(self.count):
            share = PartitionShare(index, self.count)
            sink = ensure_actor(CandleSink, sink_name(index), self._settings, share)
            # Also those that have heard it: one that has crashed begins with the share that it was made with.
            sink.take_share.remote(share)
            sinks[sink_name(index)] = sink
        return sinks

    def synchronize(self) -> None:
        """Decide the number of sinks, once a sync period; sinks that are too many finish their batch and end."""
        now_ms = round(self._clock() * 1000)
        if now_ms < self._due_ms:
            return
        # On the grid of periods, so that windows and policies of whole periods mean what they say.
        at_ms = self._due_ms if now_ms - self._due_ms < self._period_ms else now_ms
        self._due_ms = at_ms + self._period_ms
        positions = self._read_positions(self._settings)
        self.lag = None if positions is None else sum(position.lag for position in positions.values())
        decision = self._scaler.synchronize(at_ms, self.count, positions)
        if decision.desired_replicas == self.count:
            return
        log.info("sinks.scaled", sinks=decision.desired_replicas, before=self.count, lag=self.lag)
        before, self.count = self.count, decision.desired_replicas
        for index in range(self.count, before):
            _end(sink_name(index))

    def seconds_to_sync(self) -> float:
        """Return how long it is until the next sync is due."""
        return max(0.0, self._due_ms / 1000 - self._clock())


def candle_positions(settings: Settings) -> Positions | None:
    """Return where the candle sinks stand; None when Kafka or the database does not tell."""
    try:
        with psycopg.connect(settings.require("database_url"), connect_timeout=10) as connection:
            return sink_positions(
                connection, settings.require("kafka_bootstrap_servers"), CandleWriter.consumer, CANDLES
            )
    except (psycopg.Error, KafkaException, TopicMissingError) as error:
        log.warning("sinks.lag_unknown", error=str(error))
        return None


def _existing() -> int:
    count = 0
    while find_actor(sink_name(count)) is not None:
        count += 1
    return count


def _end(name: str) -> None:
    sink = find_actor(name)
    if sink is None:
        return
    try:
        ray.get(sink.stop.remote(), timeout=STOP_TIMEOUT_S)
    except (GetTimeoutError, RayActorError) as error:
        # Its offsets are stored with its rows: what it held is read again.
        log.warning("sinks.not_stopped", actor=name, error=str(error))
    ray.kill(sink, no_restart=True)
