"""Spans of the work under way, where traces are exported; otherwise nothing is done and nothing imported.

A span's parent is the `Origin` of the work, and while the span lasts it is the origin's traceparent: what is sent or
stored meanwhile tells of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from alpharay.telemetry.origin import current_origin, reset_origin, set_origin

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Attributes = Mapping[str, str | int | float | bool]

_NOTHING: AbstractContextManager[None] = nullcontext()
_tracer: Tracer | None = None


def use_tracer(tracer: Tracer | None) -> None:
    """Make spans with `tracer` from here on; with None make none."""
    global _tracer
    _tracer = tracer


def is_tracing() -> bool:
    """Tell whether spans are made in this process."""
    return _tracer is not None


def span(
    name: str, kind: Kind = "internal", attributes: Attributes | None = None
) -> AbstractContextManager[Span | None]:
    """Return a context in which the work is a span; None comes out of it where the work belongs to no trace.

    Only a request begins a trace (`root_span`): what runs on a clock would fill the collector with traces of one span.
    """
    tracer = _tracer
    if tracer is None:
        return _NOTHING
    origin = current_origin()
    if origin is None or origin.traceparent is None:
        return _NOTHING
    return _started(tracer, name, kind, attributes)


def root_span(name: str, kind: Kind, attributes: Attributes | None = None) -> AbstractContextManager[Span | None]:
    """Return such a context for a request: a trace of its own where its origin tells of none."""
    return _NOTHING if _tracer is None else _started(_tracer, name, kind, attributes)


@contextmanager
def _started(tracer: Tracer, name: str, kind: Kind, attributes: Attributes | None) -> Iterator[Span]:
    from opentelemetry.trace import SpanKind

    origin = current_origin()
    parent = _context(None if origin is None else origin.traceparent)
    with tracer.start_as_current_span(name, parent, SpanKind[kind.upper()], attributes) as started:
        if origin is None:
            yield started
            return
        token = set_origin(replace(origin, traceparent=_traceparent(started)))
        try:
            yield started
        finally:
            reset_origin(token)


def _context(traceparent: str | None) -> Context:
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    if traceparent is None:
        return Context()
    _, trace_id, span_id, flags = traceparent.split("-")
    parent = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return set_span_in_context(NonRecordingSpan(parent), Context())


def _traceparent(started: Span) -> str:
    place = started.get_span_context()
    return f"00-{place.trace_id:032x}-{place.span_id:016x}-{place.trace_flags:02x}"
