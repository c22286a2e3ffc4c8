"""The process's own metrics: what any part of the library counts, beside those of the application that runs in it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()
"""Metrics of this process; every name begins with `alpharay_` and names its unit."""

ProcessCollector(namespace="alpharay", registry=REGISTRY)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def register(collector: Collector) -> None:
    """Add what a collector collects to this process's metrics."""
    REGISTRY.register(collector)


def exposition(*registries: CollectorRegistry) -> bytes:
    """Return the metrics of some registries, of this process's where none is named, in Prometheus' text format."""
    return b"".join(generate_latest(registry) for registry in registries or (REGISTRY,))
