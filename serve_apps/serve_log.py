"""How an application's replicas log: JSON lines in Serve's own files."""

from __future__ import annotations

import logging
import traceback

import structlog
from ray.serve.schema import LoggingConfig

from alpharay.settings import settings
from alpharay.telemetry.origin import current_origin
from alpharay.telemetry.redaction import Redaction, secrets_of
from serve_apps.service_log import SERVE_LOGGER, log

LOGGING = LoggingConfig(encoding="JSON", enable_access_log=False)
"""Serve's JSON lines, without its access log: a service writes one line a request itself, which says more."""


class OwnFields(logging.Filter):
    """Adds what caused a line, and hides secrets in it."""

    def __init__(self, redaction: Redaction) -> None:
        super().__init__()
        self._redaction = redaction
        self._known = frozenset(vars(logging.makeLogRecord({})))

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record and let it through."""
        hide = self._redaction.hide_in
        record.msg, record.args = hide(record.getMessage()), None
        for name in vars(record).keys() - self._known:
            setattr(record, name, hide(getattr(record, name)))
        if record.exc_info and not record.exc_text:
            # Written out here, since a formatter does not hide anything.
            record.exc_text = self._redaction.hide("".join(traceback.format_exception(*record.exc_info)).rstrip())
        origin = current_origin()
        if origin is not None:
            record.correlation_id = origin.correlation_id
            if origin.traceparent is not None:
                record.trace_id = origin.trace_id
        return True


def log_through_serve() -> Redaction:
    """Send the library's log lines through Serve's handlers, into the replica's file; return what hides secrets."""
    redaction = Redaction(secrets_of(settings()))
    serve_log = logging.getLogger(SERVE_LOGGER)
    for logger in (serve_log, log):
        # One of this kind only, however many services live in the process.
        for known in [one for one in logger.filters if isinstance(one, OwnFields)]:
            logger.removeFilter(known)
        logger.addFilter(OwnFields(redaction))
    if serve_log.level == logging.INFO:
        # Serve makes a line of its access log for every request before it finds that nobody wants it; a replica has
        # nothing else of that level to tell once it serves.
        serve_log.setLevel(logging.WARNING)
        log.setLevel(logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.processors.format_exc_info,
            structlog.stdlib.render_to_log_kwargs,
        ],
        logger_factory=lambda *_: log,
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    return redaction
