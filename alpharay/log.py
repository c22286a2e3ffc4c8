"""Where the library's log lines go: standard error, because standard output is a command's answer."""

from __future__ import annotations

import logging
import sys

import structlog


def log_to_standard_error(level: str = "INFO") -> None:
    """Write log lines of `level` and above to standard error.

    Raises ValueError for a level that is not DEBUG, INFO, WARNING or ERROR.
    """
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError(f"log level must be DEBUG, INFO, WARNING or ERROR, was {level!r}")
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        # Looked up at each line: a test or a worker may have replaced the stream since.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
