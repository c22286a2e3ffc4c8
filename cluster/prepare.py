"""Bring the database's schema and Kafka's topics to what this version needs: `python -m cluster.prepare`.

It runs before every rollout, as a Job: the schema only grows, so the version that still runs is not disturbed.
Safe to run again, and from several places at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaException
from sqlalchemy.exc import OperationalError
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from alpharay.settings import SettingMissingError, Settings, settings
from alpharay.store.migrate import migrate
from cluster.local.topics import create_topics

Result = TypeVar("Result")
PATIENCE_S = 300.0
"""How long the database and the brokers may take to come up."""


def prepare(current: Settings, patience_s: float = PATIENCE_S) -> None:
    """Migrate, then make the missing topics; what is not up yet is tried again for `patience_s` each."""
    database_url, brokers = current.require("database_url"), current.require("kafka_bootstrap_servers")
    revision = _patiently(lambda: migrate(database_url), patience_s)
    print(f"database: revision {revision}", flush=True)
    made = _patiently(lambda: create_topics(brokers), patience_s)
    print(f"topics made: {', '.join(made) or 'none, all were there'}", flush=True)


def _patiently(step: Callable[[], Result], patience_s: float) -> Result:
    result: Result = Retrying(
        retry=retry_if_exception_type((OperationalError, KafkaException)),
        stop=stop_after_delay(patience_s),
        wait=wait_exponential(multiplier=0.5, max=10.0),
    )(step)
    return result


def main() -> int:
    """Prepare; 1 with what to do when a server did not come up."""
    try:
        prepare(settings())
    except SettingMissingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except RetryError as error:
        last = error.last_attempt.exception()
        print(f"error: gave up after {PATIENCE_S:.0f} s: {last}; are PostgreSQL and Kafka Ready?", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
