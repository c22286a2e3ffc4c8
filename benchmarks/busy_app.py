"""A Serve application that uses a known amount of processor time for each request, scaled by a manifest."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ray import serve
from ray.serve import Application
from starlette.requests import Request
from starlette.responses import Response

from serve_apps.autoscaling_policy import hpa_scaling
from serve_apps.deployment_options import DEPLOYMENT_OPTIONS
from serve_apps.replica_usage import MeasuredReplica

DEPLOYMENT = "Busy"


class Busy(MeasuredReplica):
    """Computes for `work_s` of processor time, whoever else computes meanwhile."""

    def __init__(self, work_s: float, usage_window_s: float) -> None:
        super().__init__(usage_window_s=usage_window_s)
        self._work_s = work_s

    async def __call__(self, _request: Request) -> Response:
        """Answer after the work."""
        self.in_flight.count += 1
        try:
            end = time.thread_time() + self._work_s
            while time.thread_time() < end:
                pass
            return Response(b"{}", media_type="application/json")
        finally:
            self.in_flight.count -= 1


def busy_app(
    manifest: dict[str, Any],
    journal_folder: Path,
    *,
    work_s: float,
    usage_window_s: float = 15.0,
    report_interval_s: float = 5.0,
    **policy: Any,
) -> Application:
    """Return the application; the other arguments are those of `HpaPolicy`."""
    scaling = hpa_scaling(manifest, report_interval_s=report_interval_s, journal_folder=str(journal_folder), **policy)
    options = {**DEPLOYMENT_OPTIONS, "ray_actor_options": {"num_cpus": 0.01}}
    return serve.deployment(Busy, name=DEPLOYMENT, autoscaling_config=scaling, **options).bind(work_s, usage_window_s)
