"""The portfolio service's own metrics, for `/metrics`: one replica's view."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serve_apps.portfolio_service import PortfolioService

_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 10.0)


class PortfolioMetrics:
    """Counts answers and reads the rest when it is scraped."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "alpharay_portfolio_requests",
            "Answers by route and outcome: ok, the decision, or the code of the error.",
            ["route", "outcome"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "alpharay_portfolio_request_seconds",
            "Time from the request's arrival in the replica to its answer.",
            ["route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._age = self._gauge("accounts_age_seconds", "Age of the copy of the accounts: since the database answered.")
        self._failures = self._gauge("refresh_failures", "Times that the database could not be read.")
        self._accounts = self._gauge("accounts", "Accounts with a book.")
        self._halted = self._gauge(
            "halted_accounts", "Accounts that may not open positions, all of them counted as one."
        )

    def text(self, service: PortfolioService) -> bytes:
        """Return the metrics in Prometheus' text format."""
        accounts = service.accounts
        age = accounts.age_s()
        # No copy yet is as old as can be.
        self._age.set(float("inf") if age is None else age)
        self._failures.set(accounts.failures)
        self._accounts.set(len(accounts.held.accounts))
        self._halted.set(sum(one.opening_refusal() is not None for one in accounts.held.switches.values()))
        return generate_latest(self.registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(f"alpharay_portfolio_{name}", meaning, registry=self.registry)
