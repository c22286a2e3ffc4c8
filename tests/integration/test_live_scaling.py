"""From two to ten real replicas on what they really use, under the seeds' autoscaler of ingestion, 15 times as fast."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.live_scaling import findings, record
from cluster.local.port import free_port

# On a machine that others use too, ten replicas need minutes to start.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def port(ray_cluster: str) -> Iterator[int]:
    from ray import serve

    port = free_port()
    try:
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
        yield port
    finally:
        serve.shutdown()


@pytest.mark.slow
def test_two_replicas_become_ten_and_serve_aims_at_every_decision_which_the_recording_decides_again(
    port: int, tmp_path: Path
) -> None:
    found = findings(record(port, tmp_path, speed=15, down=False))
    assert {name: found[name] for name in ("unequal", "broken_chain", "strange_targets")} == {
        "unequal": 0,
        "broken_chain": 0,
        "strange_targets": 0,
    }
    targets = found["targets"]
    assert isinstance(targets, list)
    assert (targets[0], max(targets)) == (2, 10)
    assert all(after <= 2 * before for before, after in pairwise(targets))
    assert found["most_reporting"] == 10
    assert found["targets_seen"]
    load = found["load"]
    assert isinstance(load, dict)
    assert load["failed"] == 0
    assert load["answered"] > 0
