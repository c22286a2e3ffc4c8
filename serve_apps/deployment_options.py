"""What Serve is told of every deployment alike: bounds of what waits, health checks, how a replica ends."""

from __future__ import annotations

from typing import Any, Final

from ray.serve.config import BackpressureConfig

from serve_apps.serve_log import LOGGING

DEPLOYMENT_OPTIONS: Final[dict[str, Any]] = {
    "max_ongoing_requests": 64,
    "max_queued_requests": 256,
    "backpressure_config": BackpressureConfig(status_code=503, retry_after_s=1),
    "health_check_period_s": 5,
    "health_check_timeout_s": 10,
    "graceful_shutdown_wait_loop_s": 0.5,
    "graceful_shutdown_timeout_s": 10,
    "max_surge_percent": 100,
    "ray_actor_options": {"num_cpus": 0.1},
    "logging_config": LOGGING,
}
"""Arguments of `serve.deployment`; name and autoscaling are each deployment's own."""
