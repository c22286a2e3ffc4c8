"""Every sync of every trace of the real controller (kube-controller-manager 1.35.4) is decided as it was recorded.

`traces` went through the whole controller; `own_traces` are random ones that ran its `reconcileAutoscaler` under a
simulated clock, with what the others lack: Object metrics, pods of unknown readiness, selectors, sums that overflow.
`live_traces` were recorded by `benchmarks.live_scaling`: what Serve was told, which is decided again.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from alpharay.autoscaling.manifest import read_manifest
from alpharay.autoscaling.replay import differences
from alpharay.autoscaling.trace import read_document, read_trace

TRACES = sorted((Path(__file__).parent / "traces").glob("*.json.gz"))
OWN_TRACES = sorted((Path(__file__).parent / "own_traces").glob("*.json.gz"))
LIVE_TRACES = sorted((Path(__file__).parent / "live_traces").glob("*.json.gz"))


def test_the_traces_are_all_here() -> None:
    assert len(TRACES) == 71
    assert sum(len(read_trace(path).syncs) for path in TRACES) == 5422
    assert len(OWN_TRACES) == 16


@pytest.mark.parametrize(
    "path", [*TRACES, *OWN_TRACES, *LIVE_TRACES], ids=lambda path: path.name.removesuffix(".json.gz")
)
def test_every_sync_is_decided_as_the_controller_did(path: Path) -> None:
    assert list(differences(read_trace(path))) == []


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.name.removesuffix(".json.gz"))
def test_what_is_left_out_of_a_manifest_is_filled_in_as_the_api_server_does(path: Path) -> None:
    trace = read_document(path)
    assert read_manifest(trace["hpa_as_written"]) == read_manifest(trace["hpa"])


def test_a_live_trace_goes_from_two_replicas_to_ten_on_what_they_used() -> None:
    (path,) = LIVE_TRACES
    syncs = read_document(path)["syncs"]
    decided = [sync["desired_replicas"] for sync in syncs]
    assert (decided[0], max(decided)) == (2, 10)
    for before, after in pairwise(syncs):
        assert after["spec_replicas"] == before["desired_replicas"]
    grown = [sync for sync in syncs if sync["desired_replicas"] > sync["spec_replicas"]]
    assert grown
    assert {sync["proposal_metric"] for sync in grown} == {"cpu resource"}
    assert any(sum(pod.get("cpu_usage_m") is not None for pod in sync["pods"]) == 10 for sync in syncs)
