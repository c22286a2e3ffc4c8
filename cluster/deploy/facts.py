"""The monitor's facts: consumers' lag, ages of candles, the ledger, read from Prometheus' text format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from alpharay.market.timeframe import timeframe_ms

Samples = Mapping[str, list[tuple[Mapping[str, str], float]]]
"""Values by metric name, each with its labels."""


def samples(text: str) -> Samples:
    """Return the values of a page in Prometheus' text format."""
    found: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


@dataclass(frozen=True)
class Lag:
    """Messages that a consumer group has not written yet, over all partitions of a topic."""

    group: str
    topic: str
    messages: float


@dataclass(frozen=True)
class Market:
    """A market's newest stored candle: how long ago it closed, in seconds and in time frames."""

    exchange: str
    symbol: str
    timeframe: str
    age_s: float
    timeframes: float


def lags_of(facts: Samples) -> tuple[Lag, ...]:
    """Return how far each group is behind, by topic."""
    summed: dict[tuple[str, str], float] = {}
    for labels, value in facts.get("alpharay_kafka_consumer_lag_messages", ()):
        key = labels["group"], labels["topic"]
        summed[key] = summed.get(key, 0.0) + value
    return tuple(Lag(group, topic, messages) for (group, topic), messages in sorted(summed.items()))


def markets_of(facts: Samples) -> tuple[Market, ...]:
    """Return how old each market's newest candle is."""
    found = []
    for labels, age in facts.get("alpharay_candle_age_seconds", ()):
        ages = age * 1000.0 / timeframe_ms(labels["timeframe"])
        found.append(Market(labels["exchange"], labels["symbol"], labels["timeframe"], age, ages))
    return tuple(sorted(found, key=lambda one: (one.exchange, one.symbol, one.timeframe)))
