"""One line of log for each request, written in batches by a thread.

Through Python's logging a line costs as much as the answer that it is about, since Serve formats it twice. Here a
request only leaves its fields behind; they go into a file of their own beside the replica's, as JSON lines of the same
shape. Where there is no such file, outside a replica, they are ordinary lines.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from logging.handlers import MemoryHandler, RotatingFileHandler
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from alpharay.telemetry.origin import Origin, current_origin
from alpharay.telemetry.redaction import Redaction
from serve_apps.service_log import SERVE_LOGGER, log

EVERY_S = 0.25
MOST_WAITING = 20_000


class _Told(NamedTuple):
    time_s: float
    message: str
    fields: Mapping[str, object]
    origin: Origin | None


class RequestLog:
    """Writes what requests tell within a quarter of a second; more than it may keep is dropped, counted and told."""

    def __init__(
        self,
        write: Callable[[str], None],
        redaction: Redaction,
        labels: Mapping[str, object],
        *,
        every_s: float = EVERY_S,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._write = write
        self._redaction = redaction
        self._labels = labels
        self._every_s = every_s
        self._most_waiting = most_waiting
        self._waiting: deque[_Told] = deque()
        self._dropped = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
        self._thread.start()

    def tell(self, message: str, fields: Mapping[str, object]) -> None:
        """Leave a line to be written; it never waits."""
        if len(self._waiting) >= self._most_waiting:
            self._dropped += 1
            return
        self._waiting.append(_Told(time.time(), message, fields, current_origin()))

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what waits, and end."""
        self._ending.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            ending = self._ending.wait(self._every_s)
            try:
                self._write_waiting()
            except OSError as error:
                log.warning("request lines are lost: they cannot be written", extra={"error": str(error)})
            if ending:
                return

    def _write_waiting(self) -> None:
        lines = []
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            lines.append(self._line(_Told(time.time(), "request lines dropped", {"lines": dropped}, None)))
        lines += [self._line(self._waiting.popleft()) for _ in range(len(self._waiting))]
        if lines:
            self._write("\n".join(lines))

    def _line(self, told: _Told) -> str:
        line: dict[str, Any] = {"asctime": _shown(told.time_s), "levelname": "INFO", "message": told.message}
        line |= self._labels
        line |= told.fields
        if told.origin is not None:
            line["correlation_id"] = told.origin.correlation_id
            if told.origin.traceparent is not None:
                line["trace_id"] = told.origin.trace_id
        try:
            encoded = msgspec.json.encode(line, enc_hook=str)
        except (TypeError, ValueError):
            # A text that is no Unicode, as a client may send it, or what has no form in JSON.
            encoded = msgspec.json.encode({name: ascii(value) for name, value in line.items()})
        return self._redaction.hide(encoded.decode())


class _File(RotatingFileHandler):
    """Raises what keeps it from writing, where Python's logging would print it and go on."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Raise the error under way."""
        del record
        raise


_replica: RequestLog | None = None


def tell_request(message: str, fields: Mapping[str, object]) -> None:
    """Log what became of a request."""
    if not log.isEnabledFor(logging.INFO):
        return
    if _replica is None:
        log.info(message, extra=fields)
    else:
        _replica.tell(message, fields)


def write_beside_replica(redaction: Redaction, labels: Mapping[str, object]) -> None:
    """Write requests from here on into a file beside that of Serve's logger; without such a file nothing changes."""
    global _replica
    known = _file_of(logging.getLogger(SERVE_LOGGER))
    if known is None:
        return
    path = Path(known.baseFilename)
    handler = _File(
        path.with_name(f"requests_{path.name.removeprefix('replica_')}"),
        maxBytes=known.maxBytes,
        backupCount=known.backupCount,
        encoding="utf-8",
    )
    before, _replica = (
        _replica,
        RequestLog(lambda text: handler.handle(logging.makeLogRecord({"msg": text})), redaction, labels),
    )
    if before is not None:
        before.close()


def _file_of(logger: logging.Logger) -> RotatingFileHandler | None:
    for handler in logger.handlers:
        target = handler.target if isinstance(handler, MemoryHandler) else handler
        if isinstance(target, RotatingFileHandler):
            return target
    return None


def _shown(time_s: float) -> str:
    """Return the time as Python's logging writes it."""
    second = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_s))
    return f"{second},{int(time_s % 1 * 1000):03d}"
