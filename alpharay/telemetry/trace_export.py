"""Where spans go: to an OTLP collector over HTTP, in batches, from a thread of their own."""

from __future__ import annotations

import atexit
import os

from alpharay.settings import Settings
from alpharay.telemetry.spans import is_tracing, use_tracer

QUEUE_SPANS = 4096
"""Spans that may wait for the collector; while it is away longer, further ones are dropped."""

BATCH_SPANS = 512
EVERY_MS = 1000
EXPORT_TIMEOUT_S = 5.0


def start_tracing(current: Settings, service: str) -> None:
    """Export this process's spans as those of `alpharay-SERVICE`; does nothing without `ALPHARAY_OTLP_ENDPOINT`.

    Raises ValueError for an endpoint that is no HTTP address, or headers that are not NAME=VALUE.
    """
    if current.otlp_endpoint is None or is_tracing():
        return
    if not current.otlp_endpoint.startswith(("http://", "https://")):
        raise ValueError("ALPHARAY_OTLP_ENDPOINT must be http://host:port or https://host:port, was another scheme")
    # Only here: without an endpoint no process pays for the SDK.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    exporter = OTLPSpanExporter(
        endpoint=f"{current.otlp_endpoint.rstrip('/')}/v1/traces", headers=_headers(current), timeout=EXPORT_TIMEOUT_S
    )
    provider = TracerProvider(
        sampler=ParentBasedTraceIdRatio(current.trace_sample_ratio),
        resource=Resource.create({"service.name": f"alpharay-{service}", "process.pid": os.getpid()}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter,
            max_queue_size=QUEUE_SPANS,
            schedule_delay_millis=EVERY_MS,
            max_export_batch_size=BATCH_SPANS,
        )
    )
    atexit.register(provider.shutdown)
    use_tracer(provider.get_tracer("alpharay"))


def _headers(current: Settings) -> dict[str, str]:
    text = "" if current.otlp_headers is None else current.otlp_headers.get_secret_value()
    headers = {}
    for one in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = one.partition("=")
        if not equals or not name.strip():
            # Neither is repeated: where the sign is missing, all of it may be the secret.
            raise ValueError("ALPHARAY_OTLP_HEADERS must be NAME=VALUE[,NAME=VALUE], one part had no name or no '='")
        headers[name.strip()] = value.strip()
    return headers
