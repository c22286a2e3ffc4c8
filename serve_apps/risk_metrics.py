"""The risk service's own metrics, for `/metrics`: one replica's view."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serve_apps.risk_service import RiskService

_BUCKETS = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1.0, 10.0)


class RiskMetrics:
    """Counts answers and reads the rest when it is scraped."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "alpharay_risk_requests",
            "Answers by route and outcome: ok, the decision, or the code of the error.",
            ["route", "outcome"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "alpharay_risk_request_seconds",
            "Time from the request's arrival in the replica to its answer.",
            ["route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._switches_age = self._gauge("switches_age_seconds", "Age of the copy of the kill switches.")
        self._models_age = self._gauge("models_age_seconds", "Age of the copy of the models.")
        self._failures = self._gauge("refresh_failures", "Times that the database could not be read.")
        self._markets = self._gauge("markets", "Markets with a model.")
        self._pairs = self._gauge("pairs", "Pairs with a hedge.")
        self._stopped = self._gauge("stopped_breakers", "Accounts whose circuit breaker is open or half-open.")
        self._halted = self._gauge("halted_accounts", "Accounts that are halted, all of them counted as one.")

    def text(self, service: RiskService) -> bytes:
        """Return the metrics in Prometheus' text format."""
        models, switches = service.models, service.switches
        # No copy yet is as old as can be.
        self._switches_age.set(_age(switches.age_s()))
        self._models_age.set(_age(models.age_s()))
        self._failures.set(models.failures + switches.failures)
        self._markets.set(len(models.held.markets))
        self._pairs.set(len(models.held.pairs))
        self._stopped.set(sum(one.phase != "closed" for one in switches.held.switches.values()))
        self._halted.set(sum(one.halted for one in switches.held.switches.values()))
        return generate_latest(self.registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(f"alpharay_risk_{name}", meaning, registry=self.registry)


def _age(seconds: float | None) -> float:
    return float("inf") if seconds is None else seconds
