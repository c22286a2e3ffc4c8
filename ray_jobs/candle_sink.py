"""The actor that writes candles from Kafka into PostgreSQL."""

from __future__ import annotations

import gc
import threading

import ray

from alpharay.settings import Settings
from alpharay.store.candle_writer import CandleWriter
from alpharay.store.database import BATCH_STATEMENT_TIMEOUT_S, open_pool
from alpharay.store.partition_share import WHOLE, PartitionShare
from alpharay.store.topic_sink import SinkStatus, TopicSink
from ray_jobs.detached_actor import start_work

NAME = "candle-sink"


def sink_name(index: int) -> str:
    """Return the name of one of several candle sinks; the first is always there."""
    return NAME if index == 0 else f"{NAME}-{index}"


@ray.remote
class CandleSink:
    """Runs a candle sink on its share of the partitions.

    Its position is the offset stored with the rows, so any copy may go on from it. After a crash it begins with the
    share that it was made with, until it is told the newest.
    """

    def __init__(self, settings: Settings, share: PartitionShare = WHOLE) -> None:
        # A batch is tens of thousands of short-lived messages: at the default thresholds the collector walks
        # the whole heap once or twice a batch and finds nothing.
        gc.set_threshold(200_000, 20, 100)
        self._stop = threading.Event()
        self._pool = open_pool(
            settings.require("database_url"),
            application=NAME,
            max_connections=2,
            statement_timeout_s=BATCH_STATEMENT_TIMEOUT_S,
        )
        self._sink = TopicSink(CandleWriter(), self._pool, settings.require("kafka_bootstrap_servers"), share=share)
        self._work = start_work(NAME, self._run)

    def status(self) -> SinkStatus:
        """Return what was written since the actor started, and which partitions are stopped, and why."""
        return self._sink.status

    def take_share(self, share: PartitionShare) -> None:
        """Work on these partitions from now on."""
        self._sink.take_share(share)

    def stop(self) -> None:
        """Finish the batch in hand and end the work."""
        self._stop.set()
        self._work.join(timeout=60.0)

    def _run(self) -> None:
        self._sink.run(self._stop)
        self._sink.close()
        self._pool.close()
