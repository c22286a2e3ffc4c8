"""How many candle sinks there are and what each works on, with made-up actors, positions and clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from alpharay.autoscaling.consumer_lag import PartitionPosition
from alpharay.settings import Settings
from alpharay.store.partition_share import PartitionShare
from ray_jobs import scaled_sinks
from ray_jobs.scaled_sinks import ScaledSinks, SinkScaling

PARTITIONS = 4


class Method:
    """A remote method that notes its calls."""

    def __init__(self, calls: list[tuple[Any, ...]]) -> None:
        self.calls = calls

    def remote(self, *arguments: Any) -> None:
        self.calls.append(arguments)


class Sink:
    """An actor's handle."""

    def __init__(self) -> None:
        self.take_share = Method([])
        self.stop = Method([])

    @property
    def share(self) -> PartitionShare:
        share: PartitionShare = self.take_share.calls[-1][0]
        return share


@dataclass
class Cluster:
    """The actors that exist, a clock, and the lag that Kafka tells of; None when it is silent."""

    sinks: dict[str, Sink] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)
    lag: int | None = 0
    now_s: float = 1_000_000.0

    def ensure(self, _class: Any, name: str, *_arguments: object) -> Sink:
        return self.sinks.setdefault(name, Sink())

    def kill(self, sink: Sink, *, no_restart: bool) -> None:
        assert no_restart
        assert sink.stop.calls == [()]
        name = next(name for name, one in self.sinks.items() if one is sink)
        self.ended.append(name)
        del self.sinks[name]

    def positions(self, _settings: Settings) -> Mapping[tuple[str, int], PartitionPosition] | None:
        if self.lag is None:
            return None
        parts = [self.lag // PARTITIONS + (number < self.lag % PARTITIONS) for number in range(PARTITIONS)]
        return {("candles", number): PartitionPosition(50 + part, 50) for number, part in enumerate(parts)}

    def scaled(self, **scaling: Any) -> ScaledSinks:
        return ScaledSinks(
            Settings(),
            SinkScaling(**{"lag_per_sink": 100, "most": 10, **scaling}),
            read_positions=self.positions,
            clock=lambda: self.now_s,
        )

    def run(self, sinks: ScaledSinks, seconds: int, lag: int | None) -> list[int]:
        """Look every second; return the numbers of sinks that there were, one for each change."""
        self.lag = lag
        counts = [sinks.count]
        for _ in range(seconds):
            self.now_s += 1.0
            sinks.synchronize()
            sinks.ensure()
            assert set(self.sinks) == {scaled_sinks.sink_name(index) for index in range(sinks.count)}
            if sinks.count != counts[-1]:
                counts.append(sinks.count)
        return counts


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()
    monkeypatch.setattr(scaled_sinks, "ensure_actor", cluster.ensure)
    monkeypatch.setattr(scaled_sinks, "find_actor", cluster.sinks.get)
    monkeypatch.setattr(scaled_sinks.ray, "get", lambda _reference, **_options: None)
    monkeypatch.setattr(scaled_sinks.ray, "kill", cluster.kill)
    return cluster


def test_sinks_double_after_a_minute_of_lag_up_to_the_partitions_and_share_them(cluster: Cluster) -> None:
    sinks = cluster.scaled()
    assert cluster.run(sinks, 55, 5000) == [1]
    assert cluster.run(sinks, 65, 5000) == [1, 2, 4]
    shares = [sink.share for sink in cluster.sinks.values()]
    assert [share.count for share in shares] == [PARTITIONS] * 4
    for partition in range(PARTITIONS):
        assert sum(share.covers(partition) for share in shares) == 1
    assert sinks.lag == 5000


def test_without_lag_they_leave_one_by_one_after_five_minutes_and_the_last_ones_first(cluster: Cluster) -> None:
    sinks = cluster.scaled()
    cluster.run(sinks, 120, 5000)
    assert cluster.run(sinks, 290, 0) == [4]
    assert cluster.run(sinks, 200, 0) == [4, 3, 2, 1]
    assert cluster.ended == ["candle-sink-3", "candle-sink-2", "candle-sink-1"]
    assert cluster.sinks["candle-sink"].share == PartitionShare(0, 1)


def test_while_kafka_is_silent_the_number_stays_and_the_lag_is_unknown(cluster: Cluster) -> None:
    sinks = cluster.scaled()
    cluster.run(sinks, 120, 5000)
    assert cluster.run(sinks, 900, None) == [4]
    assert sinks.lag is None


def test_a_supervisor_that_starts_again_goes_on_with_the_sinks_that_there_are(cluster: Cluster) -> None:
    cluster.run(cluster.scaled(), 120, 5000)
    cluster.sinks["candle-sink-7"] = Sink()
    anew = cluster.scaled()
    assert anew.count == 4
    del cluster.sinks["candle-sink-7"]
    assert cluster.run(anew, 290, 0) == [4]


def test_a_sync_happens_once_a_period_however_often_is_asked(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    sinks = cluster.scaled()
    monkeypatch.setattr(sinks, "_read_positions", lambda _: asked.append(cluster.now_s))
    for _ in range(600):
        cluster.now_s += 0.1
        sinks.synchronize()
    assert len(asked) == 4
    assert sinks.seconds_to_sync() == pytest.approx(15.0, abs=0.2)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("sync_period_s", 0.0, r"sync_period_s must be above zero, was 0\.0"),
        ("least", 0, "min_consumers must be at least 1, was 0"),
        ("most", 0, "max_consumers must be at least min_consumers, 1, was 0"),
    ],
)
def test_a_scaling_that_cannot_hold_is_refused(field: str, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SinkScaling(**{field: value})


@pytest.mark.parametrize(("index", "count"), [(1, 1), (-1, 2), (0, 0)])
def test_a_share_that_is_none_is_refused(index: int, count: int) -> None:
    with pytest.raises(ValueError, match="index must be 0 to"):
        PartitionShare(index, count)
