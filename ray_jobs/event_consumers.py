"""The actor that moves requests, strategies, signals and outgoing messages between Kafka and PostgreSQL."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any

import psycopg
import ray
import structlog
from psycopg_pool import PoolTimeout

from alpharay.bus.producer import MessageProducer, PublishError
from alpharay.settings import Settings
from alpharay.store.backtest_requests import backtest_request_writer
from alpharay.store.backtests import BACKTESTS
from alpharay.store.database import DatabasePool, open_pool
from alpharay.store.lease_queue import LeaseQueue, RoomInQueue
from alpharay.store.outbox import forget_old_messages, publish_outbox
from alpharay.store.requests import request_writer
from alpharay.store.runs import RUNS
from alpharay.store.signals import SignalWriter
from alpharay.store.strategies import strategy_writer
from alpharay.store.topic_sink import SinkStatus, TopicSink
from ray_jobs.detached_actor import start_work

NAME = "event-consumers"
OUTBOX_POLL_S = 0.2
FORGET_EVERY_S = 3600.0
LONGEST_BACK_OFF_S = 30.0

log = structlog.get_logger(__name__)


def open_sinks(settings: Settings, pool: DatabasePool, *, gated: bool = True) -> tuple[TopicSink[Any], ...]:
    """Return the sinks of discovery requests, of backtest requests, of discovered strategies and of signals.

    `gated` leaves requests in Kafka while more than `queue_limit` wait for a worker.
    """
    bootstrap_servers = settings.require("kafka_bootstrap_servers")

    def room(queue: LeaseQueue) -> RoomInQueue | None:
        return RoomInQueue(queue, settings.queue_limit) if gated else None

    return (
        TopicSink(request_writer(), pool, bootstrap_servers, batch_messages=500, gate=room(RUNS)),
        TopicSink(backtest_request_writer(), pool, bootstrap_servers, batch_messages=500, gate=room(BACKTESTS)),
        TopicSink(strategy_writer(), pool, bootstrap_servers, batch_messages=500),
        TopicSink(SignalWriter(), pool, bootstrap_servers, batch_messages=5_000),
    )


def run_outbox(settings: Settings, pool: DatabasePool, stop: threading.Event) -> None:
    """Publish outgoing messages until `stop` is set; after a failure with back-off and a new producer."""
    back_off_s = OUTBOX_POLL_S
    while not stop.is_set():
        try:
            with MessageProducer(settings.require("kafka_bootstrap_servers"), client_id="outbox") as producer:
                forget_at = time.monotonic()
                while not stop.is_set():
                    if publish_outbox(pool, producer) == 0:
                        stop.wait(OUTBOX_POLL_S)
                    if time.monotonic() >= forget_at:
                        forget_at = time.monotonic() + FORGET_EVERY_S
                        with pool.connection() as connection:
                            forget_old_messages(connection)
                    back_off_s = OUTBOX_POLL_S
        except (PublishError, psycopg.Error, PoolTimeout) as error:
            log.warning("outbox.failed", retry_in_s=back_off_s, error=str(error))
            stop.wait(back_off_s)
            back_off_s = min(back_off_s * 2.0, LONGEST_BACK_OFF_S)


@ray.remote
class EventConsumers:
    """Runs the consumers of requests, strategies and signals and the outbox publisher, a thread each."""

    def __init__(self, settings: Settings) -> None:
        self._stop = threading.Event()
        self._pool = open_pool(settings.require("database_url"), application=NAME, max_connections=5)
        self._sinks = open_sinks(settings, self._pool)
        works = [partial(sink.run, self._stop) for sink in self._sinks]
        works.append(partial(run_outbox, settings, self._pool, self._stop))
        self._works = [start_work(NAME, work) for work in works]

    def status(self) -> list[SinkStatus]:
        """Return what each consumer has done since the actor started."""
        return [sink.status for sink in self._sinks]

    def stop(self) -> None:
        """Finish what is in hand and end the work."""
        self._stop.set()
        for work in self._works:
            work.join(timeout=60.0)
        for sink in self._sinks:
            sink.close()
        self._pool.close()
