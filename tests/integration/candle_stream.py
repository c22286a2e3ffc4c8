"""Generated candles on a Kafka topic of their own, and the table that they should become."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import psycopg
from confluent_kafka.admin import AdminClient, NewTopic

from alpharay.bus.messages import CandleMessage
from alpharay.bus.producer import MessageProducer

START = 1_700_000_040_000 // 60_000 * 60_000
FIELDS = ("exchange", "symbol", "timeframe", "open_time", "open", "high", "low", "close", "volume")

Row = tuple[object, ...]


def new_topic(bootstrap_servers: str, partitions: int = 2, name: str | None = None) -> str:
    name = name or f"candles-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    admin.create_topics([NewTopic(name, partitions, 1)])[name].result(timeout=20)
    return name


def delete_topic(bootstrap_servers: str, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    admin.delete_topics([name])[name].result(timeout=20)


def generated_candles(rows: int, symbols: int = 4, exchange: str = "generated") -> list[CandleMessage]:
    """Return candles of several markets as an ingestor would send them: page by page, market by market."""
    random = np.random.default_rng(7)
    per_market = rows // symbols
    messages = []
    for page in range(0, per_market, 500):
        for symbol in range(symbols):
            for minute in range(page, min(page + 500, per_market)):
                open_, close = (float(value) for value in random.uniform(90.0, 110.0, 2))
                messages.append(
                    CandleMessage(
                        exchange=exchange,
                        symbol=f"S{symbol}/USD",
                        timeframe="1m",
                        open_time=START + minute * 60_000,
                        open=open_,
                        high=max(open_, close) + 1.0,
                        low=min(open_, close) - 1.0,
                        close=close,
                        volume=float(random.uniform(0.0, 1e6)),
                        revision=1_720_000_000_000,
                    )
                )
    return messages


def publish(bootstrap_servers: str, topic: str, messages: Iterable[CandleMessage | bytes]) -> None:
    with MessageProducer(bootstrap_servers, client_id="test", linger_ms=20) as producer:
        for message in messages:
            if isinstance(message, bytes):
                producer.publish_bytes(topic, message, key="X")
            else:
                producer.publish(topic, message, key=message.symbol, correlation_id="test")
        producer.flush()


def expected_rows(messages: Sequence[CandleMessage]) -> list[Row]:
    return sorted(tuple(getattr(message, field) for field in FIELDS) for message in messages)


def stored_rows(database: str, exchange: str | None = None) -> list[Row]:
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            f"SELECT {', '.join(FIELDS)} FROM candles WHERE %(x)s::text IS NULL OR exchange = %(x)s",
            {"x": exchange},
        ).fetchall()
    return sorted(rows)


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = 60.0) -> None:
    give_up_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_at, f"{what} did not happen in {timeout_s:.0f} s"
        time.sleep(0.05)
