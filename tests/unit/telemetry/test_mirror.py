"""A process's metrics in the gauges of another system."""

from __future__ import annotations

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from alpharay.telemetry.mirror import Mirror


class Kept:
    """What was set, by name and labels."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self.made: list[str] = []

    def make(self, name: str, _meaning: str, labels: tuple[str, ...]) -> KeptGauge:
        self.made.append(name)
        return KeptGauge(self, name, labels)

    def value(self, name: str, **labels: str) -> float:
        return self.values[name, frozenset({**labels, "process": "p"}.items())]


class KeptGauge:
    def __init__(self, kept: Kept, name: str, labels: tuple[str, ...]) -> None:
        self.kept, self.name, self.labels = kept, name, labels

    def set(self, value: float, tags: dict[str, str]) -> None:
        assert set(tags) == set(self.labels)
        self.kept.values[self.name, frozenset(tags.items())] = value


def test_every_sample_is_copied_under_its_name_each_time_with_its_newest_value() -> None:
    registry, kept = CollectorRegistry(), Kept()
    counter = Counter("alpharay_things", "Things.", ["kind"], registry=registry)
    Gauge("alpharay_level", "Level.", registry=registry).set(3.5)
    histogram = Histogram("alpharay_wait_seconds", "Wait.", buckets=(0.1, 1.0), registry=registry)
    Counter("process_things", "Not ours.", registry=registry).inc()
    mirror = Mirror(lambda: generate_latest(registry), kept.make, "p")

    counter.labels("a").inc(2)
    histogram.observe(0.5)
    assert mirror.copy() == 1 + 1 + 5
    counter.labels("a").inc()
    counter.labels("b").inc()
    assert mirror.copy() == 8

    assert kept.value("alpharay_things_total", kind="a") == 3
    assert kept.value("alpharay_things_total", kind="b") == 1
    assert kept.value("alpharay_level") == 3.5
    assert [kept.value("alpharay_wait_seconds_bucket", le=one) for one in ("0.1", "1.0", "+Inf")] == [0, 1, 1]
    assert (kept.value("alpharay_wait_seconds_count"), kept.value("alpharay_wait_seconds_sum")) == (1, 0.5)
    assert sorted(set(kept.made)) == sorted(kept.made)


def test_what_is_no_number_is_left_out() -> None:
    registry, kept = CollectorRegistry(), Kept()
    age = Gauge("alpharay_age_seconds", "Age.", registry=registry)
    age.set(math.inf)
    mirror = Mirror(lambda: generate_latest(registry), kept.make, "p")
    assert mirror.copy() == 0
    age.set(1.0)
    assert mirror.copy() == 1
