"""The signal service's own metrics, for `/metrics`: one replica's view."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

# From what an answer costs (tens of microseconds) to what a stuck one would.
_BUCKETS = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1.0)


class SignalMetrics:
    """Counts answers and reads the rest when it is scraped."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "alpharay_signal_requests",
            "Answers of /generate_signal by outcome: the action, or the code of the error.",
            ["outcome"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "alpharay_signal_request_seconds",
            "Time from the request's arrival in the replica to its answer.",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.component_requests = Counter(
            "alpharay_signal_component_requests",
            "Answers of the components' own routes by route and outcome.",
            ["route", "outcome"],
            registry=self.registry,
        )
        self.component_seconds = Histogram(
            "alpharay_signal_component_request_seconds",
            "Time from the request's arrival in the replica to its answer, by route.",
            ["route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._outcomes: dict[str, Counter] = {}
        self.streams = self.gauge("streams", "Open streams of signals.")
        self.snapshot_age = self.gauge("snapshot_age_seconds", "Time since the snapshot was last confirmed.")
        self.refresh_failures = self.gauge("refresh_failures", "Times that the database could not be read.")
        self.markets = self.gauge("markets", "Markets in the snapshot.")
        self.strategies = self.gauge("strategies", "Strategies that vote in the snapshot.")
        self.published = self.gauge("published", "Signals that Kafka has acknowledged.")
        self.dropped = self.gauge("dropped", "Signals that were not published because the queue was full.")
        self.waiting = self.gauge("waiting", "Signals that wait for Kafka.")

    def count(self, outcome: str, seconds: float) -> None:
        """Count one answer."""
        series = self._outcomes.get(outcome)
        if series is None:
            # To look up a series by its label costs more than to count.
            series = self._outcomes[outcome] = self.requests.labels(outcome)
        series.inc()
        self.seconds.observe(seconds)

    def gauge(self, name: str, meaning: str) -> Gauge:
        """Return a new gauge of the service."""
        return Gauge(f"alpharay_signal_{name}", meaning, registry=self.registry)

    def text(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self.registry)
