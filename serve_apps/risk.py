"""The Serve application `risk`: volatility, regimes, hedges, value at risk, limits, kill switch.

It answers from copies in memory: the models', refreshed every two seconds, and the kill switches', refreshed four times
a second. An assessment from switches older than one second is refused. Whatever a replica says, an order is released
only in a transaction that has read the switch itself (`alpharay.store.trading_halts`).

    serve deploy serve_apps/risk.yaml
    serve run serve_apps.risk:app min_replicas=1
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version

from ray import serve
from ray.serve import Application

import alpharay
from alpharay.risk.market_view import RiskView
from alpharay.settings import settings
from alpharay.store.database import DatabasePool, in_transaction, open_pool
from alpharay.store.risk_snapshots import RiskSnapshots
from alpharay.store.trading_halts import trading_events, trading_switches
from serve_apps.autoscaling_policy import hpa_scaling
from serve_apps.background_copy import BackgroundCopy
from serve_apps.cpu_autoscaler import cpu_autoscaler
from serve_apps.deployment_options import DEPLOYMENT_OPTIONS
from serve_apps.edges.access_rules import AccessRule
from serve_apps.edges.client import ADMIN, READ
from serve_apps.edges.edges import edges_of
from serve_apps.edges.guarded_application import GuardedApplication
from serve_apps.replica_interpreter import settle_interpreter
from serve_apps.replica_telemetry import observe_replica, show_replica_metrics
from serve_apps.replica_usage import MeasuredReplica
from serve_apps.risk_api import risk_api
from serve_apps.risk_service import RiskService, SwitchCopy

MODELS_EVERY_S = 2.0
SWITCHES_EVERY_S = 0.25
EVENTS_SHOWN = 20
WRITE_FOR_S = 2.0
"""So long a lost connection is tried again before a halt is refused."""

LEAST_REPLICAS, MOST_REPLICAS = 2, 4
CPU_REQUEST = "500m"

ACCESS = (
    AccessRule("/var", READ),
    AccessRule("/assess", READ),
    AccessRule("/halt", ADMIN),
    AccessRule("/resume", ADMIN),
    AccessRule("/limits/*", ADMIN),
)
"""An assessment is an opinion and places no order; the switch is for those who may change limits."""


def risk_autoscaler(least_replicas: int = LEAST_REPLICAS) -> dict[str, object]:
    """Return the risk manager's HorizontalPodAutoscaler: two to four replicas at 80 % of their processor request."""
    return cpu_autoscaler("risk-manager", least_replicas, MOST_REPLICAS, utilization=80)


@serve.deployment(
    name="RiskService",
    autoscaling_config=hpa_scaling(risk_autoscaler(), cpu_request=CPU_REQUEST),
    **DEPLOYMENT_OPTIONS,
)
@serve.ingress()
class RiskServer(MeasuredReplica):
    """One replica: it takes its first copies before Serve sends it a request."""

    def __init__(self) -> None:
        super().__init__()
        observe_replica("risk")
        current = settings()
        self._edges = edges_of(current, "risk", ACCESS)
        # Two that refresh, and two for the switch, which must not wait for them.
        self._pool = open_pool(current.require("database_url"), application="alpharay-risk", max_connections=4)
        models: BackgroundCopy[RiskView] = BackgroundCopy(
            model_source(self._pool), RiskView(), name="risk-models", every_s=MODELS_EVERY_S
        )
        switches: BackgroundCopy[SwitchCopy] = BackgroundCopy(
            switch_source(self._pool),
            SwitchCopy({}),
            name="risk-switches",
            every_s=SWITCHES_EVERY_S,
            longest_pause_s=1.0,
        )
        commit = partial(in_transaction, self._pool, retry_for_s=WRITE_FOR_S)
        self._service = RiskService(models, switches, commit, default_quote=current.default_quote)
        models.start()
        switches.start()

    def __serve_build_asgi_app__(self) -> GuardedApplication:
        """Return the HTTP application behind its edges."""
        versions = {"alpharay": alpharay.__version__, "ray": version("ray")}
        api = risk_api(self._service, versions=versions, edges=self._edges)
        api.add_middleware(self.in_flight.counted)
        show_replica_metrics(api)
        settle_interpreter()
        return GuardedApplication(api, self._edges)

    def check_health(self) -> None:
        """Raise when the replica must be replaced; no database is asked."""
        for copy in (self._service.models, self._service.switches):
            if not copy.is_alive():
                raise RuntimeError("a refresher of the risk service has stopped or hangs")

    def __del__(self) -> None:
        """Let go of everything."""
        service = getattr(self, "_service", None)
        if service is not None:
            service.models.stop()
            service.switches.stop()
            self._pool.close(timeout=2.0)


def model_source(pool: DatabasePool) -> Callable[[], RiskView]:
    """Return the function that reads the models and the newest candles."""
    snapshots = RiskSnapshots()

    def read() -> RiskView:
        with pool.connection() as connection:
            return snapshots.refresh(connection)

    return read


def switch_source(pool: DatabasePool) -> Callable[[], SwitchCopy]:
    """Return the function that reads the switches."""

    def read() -> SwitchCopy:
        with pool.connection() as connection:
            return SwitchCopy(trading_switches(connection), tuple(trading_events(connection, newest=EVENTS_SHOWN)))

    return read


def app(arguments: Mapping[str, object]) -> Application:
    """Return the application; `min_replicas` is another least number than the manifest's, 1 on one machine."""
    least = int(str(arguments.get("min_replicas", LEAST_REPLICAS)))
    scaling = hpa_scaling(risk_autoscaler(least), cpu_request=CPU_REQUEST)
    return RiskServer.options(autoscaling_config=scaling).bind()
