"""Candle sinks that grow with the lag of a real topic and shrink without it, while every candle is stored once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
import pytest
from candle_stream import (
    delete_topic,
    expected_rows,
    generated_candles,
    new_topic,
    publish,
    stored_rows,
    wait_until,
)
from confluent_kafka import KafkaException
from pydantic import SecretStr

from alpharay.autoscaling.horizontal_pod_autoscaler import Behavior, ScalingPolicy, ScalingRules
from alpharay.bus.topics import CANDLES
from alpharay.settings import Settings
from alpharay.store.migrate import migrate

PARTITIONS = 4
NAMES = ["candle-sink", *(f"candle-sink-{number}" for number in range(1, PARTITIONS))]
QUICKLY = Behavior(
    scale_up=ScalingRules((ScalingPolicy("Percent", 100, 2),), stabilization_s=0),
    scale_down=ScalingRules((ScalingPolicy("Percent", 100, 1),), stabilization_s=4),
)


@pytest.fixture
def current(stack: Any, database: str, ray_cluster: str) -> Iterator[Settings]:
    import ray

    delete_topic(stack.kafka_bootstrap_servers, CANDLES)
    wait_until(lambda: made(stack.kafka_bootstrap_servers), "the topic is made anew")
    migrate(database)
    yield Settings(
        database_url=SecretStr(database), kafka_bootstrap_servers=stack.kafka_bootstrap_servers, ray_address=ray_cluster
    )
    for name in ("ingestion-supervisor", *NAMES):
        try:
            ray.kill(ray.get_actor(name, namespace="alpharay"), no_restart=True)
        except ValueError:
            continue


def made(bootstrap_servers: str) -> bool:
    try:
        new_topic(bootstrap_servers, partitions=PARTITIONS, name=CANDLES)
    except KafkaException:  # the deletion is still under way
        return False
    return True


def existing() -> list[str]:
    import ray

    found = []
    for name in NAMES:
        try:
            ray.get_actor(name, namespace="alpharay")
        except ValueError:
            continue
        found.append(name)
    return found


@pytest.mark.slow
def test_lag_brings_a_sink_for_each_partition_and_they_go_when_it_is_gone(current: Settings, database: str) -> None:
    import ray

    from ray_jobs.detached_actor import ensure_actor
    from ray_jobs.ingestion_supervisor import NAME, IngestionSupervisor
    from ray_jobs.scaled_sinks import SinkScaling

    bootstrap_servers = current.require("kafka_bootstrap_servers")
    scaling = SinkScaling(most=8, lag_per_sink=500, sync_period_s=1.0, behavior=QUICKLY)
    supervisor = ensure_actor(IngestionSupervisor, NAME, current, 0, 60.0, scaling)

    def status() -> Any:
        return ray.get(supervisor.status.remote(), timeout=60)

    wait_until(lambda: status().lag == 0, "the lag is known")
    assert status().sinks == 1
    first = generated_candles(8000, symbols=16)
    with psycopg.connect(database) as connection:
        # Nobody can store an offset: candles pile up, as behind a slow database.
        connection.execute("LOCK TABLE consumer_offsets IN EXCLUSIVE MODE")
        publish(bootstrap_servers, CANDLES, first)
        wait_until(lambda: status().sinks == PARTITIONS, "a sink for each partition, and no more")
        wait_until(lambda: existing() == NAMES, "they exist")
        # The supervisor counts and lists when it next looks.
        wait_until(lambda: status().lag == 8000, "all that waits is counted")
        wait_until(lambda: set(NAMES) <= set(status().actors), "the supervisor lists them")
    wait_until(lambda: stored_rows(database) == expected_rows(first), "everything is stored")
    wait_until(lambda: status().sinks == 1, "one sink without lag")
    wait_until(lambda: existing() == NAMES[:1], "the others have ended")

    # The one that is left has taken the others' partitions back.
    second = [msgspec.structs.replace(one, exchange="later") for one in first[:2000]]
    publish(bootstrap_servers, CANDLES, second)
    wait_until(lambda: stored_rows(database) == expected_rows([*first, *second]), "what came later is stored")
    with psycopg.connect(database) as connection:
        read = connection.execute("SELECT sum(next_offset) FROM consumer_offsets").fetchone()
    assert read == (10_000,)
