"""Facts about the whole system as metrics: read every few seconds, shown as they were read last."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import psycopg
import structlog
from confluent_kafka import KafkaException
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import PoolTimeout

from alpharay.bus.topic_ends import TopicEnds, topic_ends
from alpharay.bus.topics import ALL, DEAD_LETTERS
from alpharay.feeds.exchange_clock import ExchangeClock
from alpharay.market.timeframe import timeframe_ms
from alpharay.store.database import DatabasePool
from alpharay.store.monitored_facts import FACTS, Fact, Rows, newest_candles, read_facts
from alpharay.store.offsets import all_offsets

DATABASE, KAFKA, EXCHANGE = "database", "kafka", "exchange"
SOURCES = (DATABASE, KAFKA, EXCHANGE)

LAG = Fact(
    "alpharay_kafka_consumer_lag_messages",
    "Messages of a partition that a consumer group has not written yet.",
    ("group", "topic", "partition"),
    "",
)
DEAD_LETTERS_HELD = Fact(
    "alpharay_dead_letters_messages", "Refused messages that Kafka holds, of whatever cause and age.", (), ""
)
CANDLE_AGE = Fact(
    "alpharay_candle_age_seconds",
    "How long ago, by the exchange's clock, a market's newest stored candle closed.",
    ("exchange", "symbol", "timeframe"),
    "",
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was seen at one time; a source that did not answer has no rows, which is better than old ones."""

    rows: Mapping[str, Rows] = field(default_factory=dict)
    answered: Mapping[str, bool] = field(default_factory=dict)
    finished_at: float | None = None


class SystemFacts(Collector):
    """Reads the database, Kafka and the exchange's clock, and collects what was read as metrics."""

    def __init__(
        self,
        pool: DatabasePool,
        bootstrap_servers: str,
        clock: ExchangeClock,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._bootstrap_servers = bootstrap_servers
        self._clock = clock
        self._monotonic = monotonic
        self._failures = dict.fromkeys(SOURCES, 0)
        self.reading = Reading()

    def read(self) -> Reading:
        """Read everything once; a source that fails is logged, counted and left out."""
        rows: dict[str, Rows] = {}
        answered = dict.fromkeys(SOURCES, False)
        try:
            self._clock.refresh()
            answered[EXCHANGE] = True
        except ConnectionError as error:
            self._fail(EXCHANGE, error)
        try:
            ends = topic_ends(self._bootstrap_servers, ALL)
            answered[KAFKA] = True
        except KafkaException as error:
            ends = {}
            self._fail(KAFKA, error)
        if DEAD_LETTERS in ends:
            letters = ends[DEAD_LETTERS]
            rows[DEAD_LETTERS_HELD.name] = [((), float(sum(letters.ends.values()) - sum(letters.firsts.values())))]
        try:
            with self._pool.connection() as connection:
                rows.update(read_facts(connection))
                rows[CANDLE_AGE.name] = self._candle_ages(connection)
                rows[LAG.name] = _lags(connection, ends)
            answered[DATABASE] = True
        except (psycopg.Error, PoolTimeout) as error:
            self._fail(DATABASE, error)
        self.reading = Reading(rows, answered, self._monotonic())
        return self.reading

    def collect(self) -> Iterable[Metric]:
        """Return the metrics of the newest reading."""
        reading = self.reading
        for fact in (*FACTS, LAG, DEAD_LETTERS_HELD, CANDLE_AGE):
            family = GaugeMetricFamily(fact.name, fact.meaning, labels=fact.labels)
            for labels, value in reading.rows.get(fact.name, ()):
                family.add_metric(labels, value)
            yield family
        answers = GaugeMetricFamily(
            "alpharay_monitor_source_answers", "1 where a source answered the newest reading.", labels=["source"]
        )
        failures = CounterMetricFamily(
            "alpharay_monitor_source_failures", "Readings that a source did not answer.", labels=["source"]
        )
        for source in SOURCES:
            answers.add_metric([source], float(reading.answered.get(source, False)))
            failures.add_metric([source], self._failures[source])
        age = GaugeMetricFamily("alpharay_monitor_reading_age_seconds", "Time since the newest reading.")
        if reading.finished_at is not None:
            age.add_metric([], self._monotonic() - reading.finished_at)
        yield from (answers, failures, age)

    def _candle_ages(self, connection: Connection[TupleRow]) -> Rows:
        ages = []
        for market, open_time in newest_candles(connection).items():
            now_ms = self._clock.now_ms(market[0])
            if now_ms is not None:
                ages.append((market, (now_ms - open_time - timeframe_ms(market[2])) / 1000.0))
        return ages

    def _fail(self, source: str, error: Exception) -> None:
        self._failures[source] += 1
        log.warning("monitor.source_away", source=source, error=str(error))


def _lags(connection: Connection[TupleRow], ends: Mapping[str, TopicEnds]) -> Rows:
    """Return the lag of every group that has begun, in every partition of its topic as the topic is now."""
    stored: dict[tuple[str, str], dict[int, int]] = {}
    for key, offset in all_offsets(connection).items():
        if key.topic in ends and ends[key.topic].topic_id == key.topic_id:
            stored.setdefault((key.consumer, key.topic), {})[key.partition] = offset
    lags = []
    for (group, topic), offsets in sorted(stored.items()):
        for partition, end in ends[topic].ends.items():
            first = ends[topic].firsts[partition]
            behind = end - max(offsets.get(partition, first), first)
            lags.append(((group, topic, str(partition)), float(max(behind, 0))))
    return lags
