"""The Serve application `portfolio`: positions, performance, sizes, and orders for an account's executor.

An order is sized, held to the account's limits with all that is under way, and stored in one transaction that has read
the kill switch; `ray_jobs.execute` releases it. Nothing is placed at a price that is too old.

    serve deploy serve_apps/portfolio.yaml
    serve run serve_apps.portfolio:app exchange=simulated timeframe=1m min_replicas=1
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path

import structlog
from ray import serve
from ray.serve import Application

import alpharay
from alpharay.backtest.frictions import read_frictions
from alpharay.feeds.exchange_clock import ExchangeClock
from alpharay.market.sample import SIMULATED_EXCHANGE
from alpharay.market.timeframe import timeframe_ms
from alpharay.portfolio.paper_fills import PaperTerms
from alpharay.settings import settings
from alpharay.store.accounts import all_accounts
from alpharay.store.database import DatabasePool, in_transaction, open_pool
from alpharay.store.trading_halts import trading_switches
from serve_apps.autoscaling_policy import hpa_scaling
from serve_apps.background_copy import BackgroundCopy
from serve_apps.cpu_autoscaler import cpu_autoscaler
from serve_apps.deployment_options import DEPLOYMENT_OPTIONS
from serve_apps.edges.access_rules import AccessRule
from serve_apps.edges.client import READ, TRADE
from serve_apps.edges.edges import edges_of
from serve_apps.edges.guarded_application import GuardedApplication
from serve_apps.portfolio_api import DATABASE_THREADS, portfolio_api
from serve_apps.portfolio_service import AccountsCopy, PortfolioService, Prices
from serve_apps.portfolio_signal_orders import SignalOrders
from serve_apps.replica_interpreter import settle_interpreter
from serve_apps.replica_telemetry import observe_replica, show_replica_metrics
from serve_apps.replica_usage import MeasuredReplica

ACCOUNTS_EVERY_S = 1.0
RETRY_FOR_S = 1.0
STATEMENT_TIMEOUT_S = 4.0
"""With the wait for a connection less than the edges' time limit: a request is refused, not cut."""

LEAST_REPLICAS, MOST_REPLICAS = 2, 6
CPU_REQUEST = "500m"

ACCESS = (
    AccessRule("/size", READ),
    AccessRule("/risk/*", READ),
    AccessRule("/orders", TRADE, methods=("POST",)),
    AccessRule("/orders/*", TRADE, methods=("DELETE",)),
)
"""A size is arithmetic; an order, dry or not, and its cancellation are for those who may trade."""


def portfolio_autoscaler(least_replicas: int = LEAST_REPLICAS) -> dict[str, object]:
    """Return the seeds' HorizontalPodAutoscaler of execution: two to six replicas at 75 %, two more a minute."""
    behavior = {
        "scaleUp": {
            "stabilizationWindowSeconds": 60,
            "policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}],
        }
    }
    return cpu_autoscaler("portfolio", least_replicas, MOST_REPLICAS, utilization=75, behavior=behavior)


@serve.deployment(
    name="PortfolioService",
    autoscaling_config=hpa_scaling(portfolio_autoscaler(), cpu_request=CPU_REQUEST),
    **DEPLOYMENT_OPTIONS,
)
@serve.ingress()
class PortfolioServer(MeasuredReplica):
    """One replica; `exchange` and `timeframe` say whose stored closes are its prices, as those of the executor."""

    def __init__(
        self, exchange: str = SIMULATED_EXCHANGE, timeframe: str = "1m", frictions_file: str | None = None
    ) -> None:
        super().__init__()
        observe_replica("portfolio")
        current = settings()
        timeframe_ms(timeframe)
        self._edges = edges_of(current, "portfolio", ACCESS)
        # One that refreshes, beside those that answer.
        self._pool = open_pool(
            current.require("database_url"),
            application="alpharay-portfolio",
            max_connections=DATABASE_THREADS + 1,
            statement_timeout_s=STATEMENT_TIMEOUT_S,
        )
        self._clock = ExchangeClock(current.exchange_url)
        frictions = None if frictions_file is None else read_frictions(Path(frictions_file))
        accounts: BackgroundCopy[AccountsCopy] = BackgroundCopy(
            account_source(self._pool, self._clock),
            AccountsCopy({}, {}),
            name="portfolio-accounts",
            every_s=ACCOUNTS_EVERY_S,
            longest_pause_s=ACCOUNTS_EVERY_S,
        )
        self._service = PortfolioService(
            accounts,
            partial(in_transaction, self._pool, retry_for_s=RETRY_FOR_S),
            self._clock,
            Prices(exchange=exchange, timeframe=timeframe, oldest_timeframes=current.signal_max_age_timeframes),
            default_quote=current.default_quote,
            frictions=frictions,
        )
        # What the paper broker of `ray_jobs.execute` takes when it is told nothing else.
        self._signals = SignalOrders(
            self._service, PaperTerms() if frictions is None else PaperTerms(frictions=frictions)
        )
        accounts.start()

    def __serve_build_asgi_app__(self) -> GuardedApplication:
        """Return the HTTP application behind its edges."""
        versions = {"alpharay": alpharay.__version__, "ray": version("ray")}
        api = portfolio_api(self._service, self._signals, versions=versions, edges=self._edges)
        api.add_middleware(self.in_flight.counted)
        show_replica_metrics(api)
        settle_interpreter()
        return GuardedApplication(api, self._edges)

    def check_health(self) -> None:
        """Raise when the replica must be replaced; no database is asked."""
        if not self._service.accounts.is_alive():
            raise RuntimeError("the refresher of the portfolio service has stopped or hangs")

    def __del__(self) -> None:
        """Let go of everything."""
        service = getattr(self, "_service", None)
        if service is not None:
            service.accounts.stop()
            self._clock.close()
            self._pool.close(timeout=2.0)


def account_source(pool: DatabasePool, clock: ExchangeClock) -> Callable[[], AccountsCopy]:
    """Return the function that asks the exchange's clock and reads accounts and switches."""
    log = structlog.get_logger(__name__)

    def read() -> AccountsCopy:
        try:
            clock.refresh()
        except ConnectionError as error:
            # The clock runs on; the database may still have news.
            log.warning("portfolio.clock_not_told", error=str(error))
        with pool.connection() as connection:
            return AccountsCopy(all_accounts(connection), trading_switches(connection))

    return read


def app(arguments: Mapping[str, object]) -> Application:
    """Return the application.

    `exchange`, `timeframe` and `frictions` (a JSON file) must be those of `ray_jobs.execute`; `min_replicas` is another
    least number than the manifest's, 1 on one machine.
    """
    least = int(str(arguments.get("min_replicas", LEAST_REPLICAS)))
    scaling = hpa_scaling(portfolio_autoscaler(least), cpu_request=CPU_REQUEST)
    frictions = arguments.get("frictions")
    return PortfolioServer.options(autoscaling_config=scaling).bind(
        str(arguments.get("exchange", SIMULATED_EXCHANGE)),
        str(arguments.get("timeframe", "1m")),
        None if frictions is None else str(frictions),
    )
