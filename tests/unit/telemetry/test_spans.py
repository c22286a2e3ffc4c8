"""Spans: whose children they are, what is off without a collector, and how much may wait for one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from starlette.testclient import TestClient

from alpharay.settings import Settings
from alpharay.telemetry.origin import Origin, caused_by, current_origin
from alpharay.telemetry.spans import is_tracing, root_span, span, use_tracer
from alpharay.telemetry.trace_export import start_tracing
from serve_apps.edges.edges import edges_of
from serve_apps.edges.guarded_application import GuardedApplication

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
NOT_SAMPLED = PARENT[:-2] + "00"


class Kept:
    """The spans that ended, in that order."""

    def __init__(self, ratio: float = 1.0) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler=ParentBasedTraceIdRatio(ratio))
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        use_tracer(provider.get_tracer("test"))

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.spans]


@pytest.fixture
def kept() -> Iterator[Kept]:
    yield Kept()
    use_tracer(None)


def place(one: ReadableSpan) -> str:
    context = one.get_span_context()
    assert context is not None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def test_a_span_is_a_child_of_its_origin_and_the_origin_of_what_is_within(kept: Kept) -> None:
    with caused_by(Origin("r-1", PARENT)):
        with span("outer", "producer", {"a": 1}), span("inner"):
            within = current_origin()
        assert current_origin() == Origin("r-1", PARENT)
    inner, outer = kept.spans
    assert within == Origin("r-1", place(inner))
    assert inner.parent is not None
    assert outer.parent is not None
    assert f"{inner.parent.span_id:016x}" == place(outer)[36:52]
    assert f"{outer.parent.span_id:016x}" == PARENT[36:52]
    assert {place(one)[3:35] for one in kept.spans} == {TRACE_ID}
    assert outer.attributes == {"a": 1}


@pytest.mark.parametrize("origin", [None, Origin("r-1")])
def test_work_that_no_request_caused_begins_no_trace(kept: Kept, origin: Origin | None) -> None:
    with caused_by(origin), span("tick") as made:
        assert made is None
        assert current_origin() == origin
    assert kept.spans == ()


def test_a_request_begins_a_trace_where_its_client_did_not(kept: Kept) -> None:
    with caused_by(Origin("r-1")), root_span("request", "server"), span("work"):
        pass
    assert kept.names == ["work", "request"]
    assert kept.spans[1].parent is None
    assert place(kept.spans[0])[3:35] == place(kept.spans[1])[3:35]


def test_the_client_decides_whether_its_trace_is_kept_and_the_ratio_about_others() -> None:
    kept = Kept(ratio=0.0)
    try:
        for traceparent in (None, NOT_SAMPLED):
            with caused_by(Origin("r-1", traceparent)), root_span("request", "server"):
                origin = current_origin()
                assert origin is not None
                # Handed on all the same: whoever comes next must know that it is not kept.
                assert int((origin.traceparent or "")[-2:], 16) % 2 == 0
        assert kept.spans == ()
        with caused_by(Origin("r-1", PARENT)), root_span("request", "server"):
            pass
        assert kept.names == ["request"]
    finally:
        use_tracer(None)


def test_an_error_ends_the_span_with_its_status_and_goes_on(kept: Kept) -> None:
    with pytest.raises(RuntimeError), caused_by(Origin("r-1", PARENT)), span("work"):
        raise RuntimeError("broken")
    (one,) = kept.spans
    assert not one.status.is_ok
    assert current_origin() is None


def test_the_span_of_a_request_has_its_routes_pattern_and_the_answers_code(kept: Kept) -> None:
    api = FastAPI(openapi_url=None)

    @api.get("/orders/{order_id}")
    async def order(order_id: str) -> str:
        with span("work"):
            return order_id

    guarded = GuardedApplication(api, edges_of(Settings(), "test"))
    client = TestClient(guarded, client=("127.0.0.1", 1))
    client.get("/orders/7", headers={"traceparent": PARENT})
    client.get("/nowhere/else")
    assert kept.names == ["work", "GET /orders/{order_id}", "GET unmatched"]
    assert [one.attributes["http.response.status_code"] for one in kept.spans[1:] if one.attributes] == [200, 404]
    assert kept.spans[2].parent is None


def test_without_a_tracer_nothing_is_made_and_the_clients_span_is_handed_on() -> None:
    assert not is_tracing()
    with caused_by(Origin("r-1", PARENT)), span("work") as made, root_span("request", "server") as root:
        assert made is root is None
        assert current_origin() == Origin("r-1", PARENT)


def test_without_an_endpoint_the_sdk_is_not_imported() -> None:
    program = """
import sys
import alpharay.bus.producer, alpharay.store.database
from alpharay.settings import Settings
from alpharay.telemetry.spans import span
from alpharay.telemetry.trace_export import start_tracing
start_tracing(Settings(), "test")
with span("work"):
    pass
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4318", "grpc://host:4317"])
def test_an_endpoint_that_is_no_http_address_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="must be http://host:port"):
        start_tracing(Settings(otlp_endpoint=endpoint), "test")
    assert not is_tracing()
