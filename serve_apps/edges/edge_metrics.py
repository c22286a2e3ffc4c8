"""What the edges tell Prometheus, in the registry of their application."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from serve_apps.edges.rate_limit import RateLimit
from serve_apps.edges.request_metrics import RequestMetrics


class EdgeMetrics:
    """Counts requests and refusals; the state of the rate limit is read when it is scraped."""

    def __init__(self, application: str, rate_limit: RateLimit | None) -> None:
        self.requests = RequestMetrics(application)
        self.refusals = Counter(
            "alpharay_edge_refusals", "Requests refused before the application saw them.", ["code"], registry=None
        )
        self.degraded = Gauge(
            "alpharay_edge_rate_limit_degraded",
            "1 while Redis does not answer and the rate limit is not shared between replicas.",
            registry=None,
        )
        self.failures = Gauge(
            "alpharay_edge_rate_limit_failures", "Times that Redis did not answer the rate limit.", registry=None
        )
        self.degraded.set_function(lambda: float(rate_limit is not None and rate_limit.degraded))
        self.failures.set_function(lambda: float(0 if rate_limit is None else rate_limit.failures))

    def register(self, registry: CollectorRegistry) -> None:
        """Add the metrics to an application's."""
        self.requests.register(registry)
        for collector in (self.refusals, self.degraded, self.failures):
            registry.register(collector)
