"""How an application's replicas log: JSON lines in Serve's own files."""

from __future__ import annotations

import logging

import structlog
from ray.serve.schema import LoggingConfig

LOGGING = LoggingConfig(encoding="JSON", enable_access_log=False)
"""Serve's JSON lines, without its access log: a service writes one line a request itself, which says more."""


def log_through_serve() -> None:
    """Send the library's log lines through Serve's logger, so that they are JSON lines in the replica's file."""
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, structlog.stdlib.render_to_log_kwargs],
        logger_factory=lambda *_: logging.getLogger("ray.serve"),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
