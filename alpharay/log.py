"""Where the library's log lines go, and what is on each: time, level, the request that caused it, no secret.

Standard error, because standard output is a command's answer.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from alpharay.telemetry.origin import current_origin
from alpharay.telemetry.redaction import Redaction

LogFormat = Literal["auto", "json", "text"]
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def log_to_standard_error(level: str = "INFO", *, log_format: LogFormat = "auto", secrets: Iterable[str] = ()) -> None:
    """Write log lines of `level` and above to standard error: one JSON object a line, or text for a reader.

    `auto` is text where standard error is a terminal. `secrets` are hidden in every line. Raises ValueError for a level
    that is not DEBUG, INFO, WARNING or ERROR.
    """
    if level not in LEVELS:
        raise ValueError(f"log level must be {', '.join(LEVELS[:-1])} or {LEVELS[-1]}, was {level[:100]!r}")
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            add_origin,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            hide_secrets(Redaction(secrets)),
            structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        # Looked up at each line: a test or a worker may have replaced the stream since.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def add_origin(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Add the correlation id, and the trace where there is one, of what caused the work."""
    origin = current_origin()
    if origin is not None:
        line.setdefault("correlation_id", origin.correlation_id)
        if origin.traceparent is not None:
            line.setdefault("trace_id", origin.trace_id)
    return line


def hide_secrets(redaction: Redaction) -> Processor:
    """Return a processor that hides secrets in every field."""

    def hide(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        return {name: redaction.hide_in(value) for name, value in line.items()}

    return hide
