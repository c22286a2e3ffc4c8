"""The Serve application `signal`: `POST /generate_signal` from stored strategies and the newest candles.

What always runs together is one replica: a hop between two costs more than everything that is done here.

    serve deploy serve_apps/signal.yaml
    serve run serve_apps.signal:app
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version

import structlog
from ray import serve
from ray.serve.context import _get_global_client

import alpharay
from alpharay.bus.background_publisher import BackgroundPublisher
from alpharay.bus.producer import MessageProducer
from alpharay.feeds.exchange_clock import ExchangeClock
from alpharay.settings import Settings, settings
from alpharay.signals.answer import Limits
from alpharay.signals.snapshot import Snapshot
from alpharay.store.database import BATCH_STATEMENT_TIMEOUT_S, DatabasePool, open_pool
from alpharay.store.remembered_answers import RememberedAnswers
from alpharay.store.signal_snapshots import SignalSnapshots
from alpharay.strategies.loading import run_files
from serve_apps.autoscaling_policy import hpa_scaling
from serve_apps.deployment_options import DEPLOYMENT_OPTIONS
from serve_apps.edges.access_rules import AccessRule
from serve_apps.edges.client import READ
from serve_apps.edges.edges import edges_of
from serve_apps.edges.guarded_application import GuardedApplication
from serve_apps.replica_interpreter import settle_interpreter
from serve_apps.replica_telemetry import observe_replica, show_replica_metrics
from serve_apps.replica_usage import MeasuredReplica
from serve_apps.signal_analytics import signal_analytics
from serve_apps.signal_api import signal_api
from serve_apps.signal_conclusions import trading_copy
from serve_apps.signal_refresh import SnapshotRefresher
from serve_apps.signal_scaling import CPU_REQUEST, MEMORY_REQUEST, signal_autoscaler
from serve_apps.signal_service import SignalService
from serve_apps.signal_stream import LONGEST_STREAM_S, StreamPlaces
from serve_apps.web.shortcut import with_shortcuts

ACCESS = (
    AccessRule("/generate_signal*", READ),
    AccessRule("/orchestrator/*", READ),
    AccessRule("/ml/predict", READ),
)
"""A signal is an opinion: who asks for one places no order."""

STREAM_MARGIN_S = 2.0
"""So long before the proxy's request timeout a stream ends."""

SILENT_FOR_S = 7.5
"""Serve asks a replica for its health every five seconds, until it lets it end; it tells that by nothing else."""


@serve.deployment(
    name="SignalService",
    autoscaling_config=hpa_scaling(signal_autoscaler(), cpu_request=CPU_REQUEST, memory_request=MEMORY_REQUEST),
    **DEPLOYMENT_OPTIONS,
)
@serve.ingress()
class SignalServer(MeasuredReplica):
    """One replica: it takes its first snapshot, which compiles the kernels, before Serve sends it a request."""

    def __init__(self) -> None:
        super().__init__()
        self._asked_at: float | None = None
        observe_replica("signal")
        current = settings()
        self._edges = edges_of(current, "signal", ACCESS)
        for problem in run_files(current.strategy_files):
            # Strategies that need it are left out; all others can speak.
            structlog.get_logger(__name__).error("signal.strategy_file_refused", problem=problem)
        self._pool = open_pool(
            current.require("database_url"),
            application="alpharay-signal",
            # One that refreshes the snapshot, and one for the kill switch, which must not wait for it.
            max_connections=2,
            statement_timeout_s=BATCH_STATEMENT_TIMEOUT_S,
        )
        clock = ExchangeClock(current.exchange_url)
        refresher = SnapshotRefresher(snapshot_source(self._pool, clock))
        trading = trading_copy(self._pool, current.signal_account, lambda: refresher.snapshot)
        self._service = SignalService(
            refresher,
            trading,
            clock,
            RememberedAnswers(None if current.redis_url is None else current.redis_url.get_secret_value()),
            _publisher(current),
            limits=Limits(
                data_age_timeframes=current.signal_max_age_timeframes,
                price_deviation=current.signal_max_price_deviation,
            ),
            default_quote=current.default_quote,
        )
        # Of its own: a long reading of what became of signals must not hold up the snapshot.
        self._analytics_pool = open_pool(
            current.require("database_url"),
            application="alpharay-signal-analytics",
            max_connections=2,
            statement_timeout_s=BATCH_STATEMENT_TIMEOUT_S,
        )
        self._analytics = signal_analytics(self._analytics_pool, default_quote=current.default_quote)
        refresher.start()
        self._analytics.start()
        trading.start()

    def __serve_build_asgi_app__(self) -> GuardedApplication:
        """Return the HTTP application behind its edges."""
        versions = {"alpharay": alpharay.__version__, "ray": version("ray")}
        api = signal_api(
            self._service,
            versions=versions,
            edges=self._edges,
            analytics=self._analytics,
            places=StreamPlaces(self._is_ending, longest_s=stream_seconds()),
        )
        show_replica_metrics(api)
        settle_interpreter()
        return GuardedApplication(api, self._edges, self.in_flight.counted(with_shortcuts(api)))

    def check_health(self) -> None:
        """Raise when the replica must be replaced; no database is asked."""
        self._asked_at = time.monotonic()
        for copy in (self._service.refresher, self._service.conclusions.trading):
            if not copy.is_alive():
                raise RuntimeError("a refresher of the signal service has stopped or hangs")

    def _is_ending(self) -> bool:
        """Tell whether Serve has ceased to ask for this replica's health: it waits for the streams to end."""
        return self._asked_at is not None and time.monotonic() - self._asked_at > SILENT_FOR_S

    def __del__(self) -> None:
        """Let go of everything; what waits for Kafka has a few seconds to leave."""
        service = getattr(self, "_service", None)
        if service is not None:
            service.refresher.stop()
            service.conclusions.trading.stop()
            if service.publisher is not None:
                service.publisher.close()
            self._pool.close(timeout=2.0)
        analytics = getattr(self, "_analytics", None)
        if analytics is not None:
            analytics.stop()
            self._analytics_pool.close(timeout=2.0)


def stream_seconds() -> float:
    """Return how long a stream lasts: it ends in order before Serve's proxy would cut it off by its request timeout."""
    client = _get_global_client()
    limit: float | None = None if client is None else client.http_config.request_timeout_s
    return LONGEST_STREAM_S if limit is None else min(LONGEST_STREAM_S, max(limit - STREAM_MARGIN_S, 1.0))


def snapshot_source(pool: DatabasePool, clock: ExchangeClock) -> Callable[[], Snapshot]:
    """Return the function that the refresher calls: it asks the exchange's clock, then reads what changed."""
    snapshots = SignalSnapshots()
    log = structlog.get_logger(__name__)

    def read() -> Snapshot:
        try:
            clock.refresh()
        except ConnectionError as error:
            # The clock runs on; the database may still have news.
            log.warning("signal.clock_not_told", error=str(error))
        with pool.connection() as connection:
            return snapshots.refresh(connection)

    return read


def _publisher(current: Settings) -> BackgroundPublisher | None:
    servers = current.kafka_bootstrap_servers
    if servers is None:
        return None
    return BackgroundPublisher(lambda: MessageProducer(servers, client_id="alpharay-signal"))


app = SignalServer.bind()
