"""What a piece of work was caused by: one correlation id from the request to the row, and its place in a trace.

HTTP headers, log lines, Kafka headers and rows carry the same two texts: the id, and a `traceparent` as the W3C writes
it (Trace Context, Level 1, section 3.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass

CORRELATION_ID = "correlation-id"
"""The Kafka header that follows one request through every message it causes."""

TRACEPARENT = "traceparent"
"""The header, in HTTP and in Kafka, that says which span caused it."""

MAX_CORRELATION_ID = 128

_CORRELATION_ID = re.compile(r"[0-9A-Za-z._:@/+=~-]{1,128}", re.ASCII)
_UNWANTED = re.compile(r"[^0-9A-Za-z._:@/+=~-]", re.ASCII)
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Origin:
    """What caused the work under way.

    Attributes
    ----------
    correlation_id : the request's id, clean (`clean_correlation_id`).
    traceparent : the span that caused it, or the span under way; None where nobody traces.
    """

    correlation_id: str
    traceparent: str | None = None

    @property
    def trace_id(self) -> str | None:
        """The 32 digits that every span of the trace has in common."""
        return None if self.traceparent is None else self.traceparent[3:35]


_current: ContextVar[Origin | None] = ContextVar("alpharay_origin", default=None)


def current_origin() -> Origin | None:
    """Return what caused the work of this task or thread; None when nothing told."""
    return _current.get()


def set_origin(origin: Origin | None) -> Token[Origin | None]:
    """Say what causes the work from here on; hand the token to `reset_origin` when it is done."""
    return _current.set(origin)


def reset_origin(token: Token[Origin | None]) -> None:
    """Go back to what was the origin before `set_origin`."""
    _current.reset(token)


@contextmanager
def caused_by(origin: Origin | None) -> Iterator[None]:
    """Work inside the `with` is caused by `origin`; with None nothing changes."""
    if origin is None:
        yield
        return
    token = _current.set(origin)
    try:
        yield
    finally:
        _current.reset(token)


def clean_correlation_id(text: str | None) -> str | None:
    """Return an id that is safe in a log, a header and a row; None when there is none.

    At most 128 letters, digits and `._:@/+=~-`; every other character becomes `_`, and what is longer is cut.
    """
    if not text:
        return None
    if _CORRELATION_ID.fullmatch(text):
        return text
    return _UNWANTED.sub("_", text[:MAX_CORRELATION_ID])


def valid_traceparent(text: str | None) -> str | None:
    """Return a traceparent as version 00 writes it; None for one that breaks the rules, which counts as none."""
    found = None if text is None else _TRACEPARENT.fullmatch(text)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    if trace_id == "0" * 32 or span_id == "0" * 16:
        return None
    return f"00-{trace_id}-{span_id}-{flags}"


def origin_of_headers(headers: Mapping[str, str]) -> Origin | None:
    """Return the origin that a message's headers tell; None when they hold no correlation id."""
    correlation_id = clean_correlation_id(headers.get(CORRELATION_ID))
    if correlation_id is None:
        return None
    return Origin(correlation_id, valid_traceparent(headers.get(TRACEPARENT)))
