"""Ray with Serve on this machine, for one benchmark."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cluster.local.port import LOOPBACK, free_port

# Ray reads these when it is imported.
_ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_memory_monitor_refresh_ms": "0",
    # On a busy machine Serve's proxy needs longer to start than it is given.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve_apps.edges.waiting_room.middlewares",
    "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
}


@contextmanager
def local_serve(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """Start Ray and Serve and yield the proxy's port; `environment` is set before Ray is imported.

    The folder's name must be short: Ray's sockets have paths of at most 107 bytes.
    """
    os.environ |= {**_ENVIRONMENT, **(environment or {})}
    import ray
    from ray import serve

    try:
        ray.init(
            address="local",
            num_cpus=4,
            object_store_memory=100 * 1024 * 1024,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            namespace="alpharay",
            _temp_dir=str(folder / "r"),
            _node_ip_address=LOOPBACK,
        )
        port = free_port()
        serve.start(proxy_location="HeadOnly", http_options={"host": LOOPBACK, "port": port})
        yield port
    finally:
        ray.shutdown()
