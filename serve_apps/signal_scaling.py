"""How the signal service scales: the HorizontalPodAutoscaler of the seeds' orchestrator."""

from __future__ import annotations

from typing import Final

from serve_apps.cpu_autoscaler import cpu_autoscaler

LEAST_REPLICAS, MOST_REPLICAS = 1, 5
CPU_REQUEST = "500m"
MEMORY_REQUEST = "1Gi"
IN_FLIGHT_TARGET = 16
"""An answer takes a few milliseconds: so many at once means that requests wait for the processor, before the 15 s over
which its use is averaged have shown it."""

_BEHAVIOR: Final = {
    "scaleUp": {"policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]},
    "scaleDown": {"policies": [{"type": "Percent", "value": 10, "periodSeconds": 60}]},
}


def signal_autoscaler() -> dict[str, object]:
    """Return the manifest: one to five replicas at 70 % of the processor and 80 % of the memory request.

    At most doubled every 15 s, and one in ten fewer a minute. The seeds' manifest has no metric of requests in flight:
    it is added, and can only ask for more replicas.
    """
    return cpu_autoscaler(
        "signal-gen-orchestrator",
        LEAST_REPLICAS,
        MOST_REPLICAS,
        utilization=70,
        memory_utilization=80,
        in_flight=IN_FLIGHT_TARGET,
        behavior=_BEHAVIOR,
    )
