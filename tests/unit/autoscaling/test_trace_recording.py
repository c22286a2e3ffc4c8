"""What is written as a trace is read back as it was, and decided alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alpharay.autoscaling.autoscaler import AutoscalerState, synchronize
from alpharay.autoscaling.horizontal_pod_autoscaler import ControllerSettings
from alpharay.autoscaling.replay import differences, replay
from alpharay.autoscaling.samples import Pod, Samples
from alpharay.autoscaling.trace import parse_trace, read_document, read_trace
from alpharay.autoscaling.trace_recording import sync_record, trace_record

TRACES = Path(__file__).parent / "traces"


@pytest.mark.parametrize(
    "name", ["fuzz_10", "stale_samples", "external_value", "latency_behavior", "hpa_edited", "nanocores"]
)
def test_a_trace_that_is_written_again_holds_the_same_samples_and_decisions(name: str) -> None:
    path = TRACES / f"{name}.json.gz"
    trace, document = read_trace(path), read_document(path)
    syncs = []
    for sync, (_, decision, state) in zip(trace.syncs, replay(trace), strict=True):
        record = sync_record(sync.samples, decision, state, restarted=sync.restarted)
        syncs.append({**record, **({"hpa": sync.outcome["hpa"]} if "hpa" in sync.outcome else {})})
    again = trace_record(name, document["hpa"], syncs, sync_period_s=15.0, settings=trace.settings)
    written = parse_trace(json.loads(json.dumps(again)))
    assert [sync.samples for sync in written.syncs] == [sync.samples for sync in trace.syncs]
    assert [sync.autoscaler for sync in written.syncs] == [sync.autoscaler for sync in trace.syncs]
    assert list(differences(written)) == []


def test_a_difference_names_the_sync_the_field_and_both_values() -> None:
    document = dict(read_document(TRACES / "truncation.json.gz"))
    syncs = [dict(sync) for sync in document["syncs"]]
    syncs[3]["desired_replicas"] += 1
    found = list(differences(parse_trace({**document, "syncs": syncs})))
    assert {one.field for one in found} == {"desired_replicas", "status_desired_replicas"}
    assert {one.time_s for one in found} == {syncs[3]["t_s"]}
    assert found[0].recorded == syncs[3]["desired_replicas"]
    assert found[0].decided == syncs[3]["desired_replicas"] - 1


def test_a_pod_of_two_containers_has_no_place_in_a_recording() -> None:
    autoscaler = read_trace(TRACES / "zero_load.json.gz").syncs[0].autoscaler
    samples = Samples(0, 1, 1, pods=(Pod("pair", {"app": {}, "log": {}}),))
    decision, state = synchronize(autoscaler, AutoscalerState(), samples, ControllerSettings())
    with pytest.raises(ValueError, match="a recorded pod has one container, pair has 2"):
        sync_record(samples, decision, state)
