"""Hold the autoscaler against recorded decisions of Kubernetes' controller, and time it.

    python -m benchmarks.hpa --traces tests/unit/autoscaling/traces --json

`unequal` counts syncs of which anything differs from the record: desired replicas, status, conditions with reasons,
proposals, the metrics' present values, errors. `us_per_sync` is the time of one decision, reading the trace not
included: processor seconds, the median of the rounds. The exit status is 1 when any sync is unequal.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from alpharay.autoscaling.replay import Difference, differences, replay
from alpharay.autoscaling.trace import Trace, read_trace
from benchmarks.report import Figures, machine, median, report


def load(folder: Path) -> list[Trace]:
    """Return every trace of a folder, by name."""
    paths = sorted([*folder.glob("*.json"), *folder.glob("*.json.gz")])
    if not paths:
        raise SystemExit(f"--traces must be a folder of *.json or *.json.gz files, was {folder}")
    return [read_trace(path) for path in paths]


def microseconds_per_sync(traces: Sequence[Trace], rounds: int) -> float:
    """Return the median time of one decision."""
    syncs = sum(len(trace.syncs) for trace in traces)
    times = []
    for _ in range(rounds):
        start = time.process_time()
        for trace in traces:
            for _decided in replay(trace):
                pass
        times.append((time.process_time() - start) / syncs * 1e6)
    return median(times)


def rows_of(found: Sequence[Difference]) -> list[Figures]:
    """Return the unequal syncs, each with the fields that differ."""
    by_sync: dict[tuple[str, float], list[Difference]] = defaultdict(list)
    for difference in found:
        by_sync[difference.trace, difference.time_s].append(difference)
    return [
        {
            "trace": name,
            "time_s": time_s,
            "fields": ", ".join(one.field for one in differing),
            "recorded": str(differing[0].recorded),
            "decided": str(differing[0].decided),
        }
        for (name, time_s), differing in by_sync.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=Path, required=True, help="folder of traces, *.json or *.json.gz")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds over all traces (default 5)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    traces = load(options.traces)
    rows = rows_of([difference for trace in traces for difference in differences(trace)])
    result: Figures = {
        "syncs": sum(len(trace.syncs) for trace in traces),
        "unequal": len(rows),
        "us_per_sync": microseconds_per_sync(traces, options.rounds),
        "traces": len(traces),
        "machine": machine(),
    }
    report("hpa", result, rows, as_json=options.json)
    sys.exit(1 if rows else 0)


if __name__ == "__main__":
    main()
