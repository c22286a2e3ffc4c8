"""The actor that brings its shard of the markets from the exchange to Kafka."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import psycopg
import ray
import structlog
from psycopg_pool import PoolTimeout

from alpharay.bus.producer import MessageProducer, PublishError
from alpharay.feeds.exchange import ExchangeFeed, FeedError, connect_exchange
from alpharay.feeds.ingestion import MarketIngestion, shard_of
from alpharay.market.sample import SIMULATED_EXCHANGE
from alpharay.settings import Settings
from alpharay.store.candle_rows import Market
from alpharay.store.database import DatabasePool, open_pool
from alpharay.store.ingested_markets import IngestedMarket, report_progress, wanted_markets
from ray_jobs.detached_actor import start_work

LONGEST_BACK_OFF_S = 60.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class IngestorStatus:
    """What the actor does now; times are seconds ago."""

    name: str
    markets: tuple[Market, ...]
    rounds: int
    failures: int
    last_sign_of_life_s: float


def ingestor_name(shard: int) -> str:
    """Return the name of a shard's actor."""
    return f"candle-ingestor-{shard}"


@ray.remote
class CandleIngestor:
    """Ingests the wanted markets of one shard, round after round.

    What to ingest and from where is in PostgreSQL (`ingested_markets`, `candles`), so that a restart, a
    second actor of the same shard or an added market need nothing else.
    """

    def __init__(self, settings: Settings, shard: int, shards: int, interval_s: float) -> None:
        self._settings = settings
        self._shard = shard
        self._shards = shards
        self._interval_s = interval_s
        self._name = ingestor_name(shard)
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._alive_at = time.monotonic()
        self._rounds = 0
        self._failures = 0
        self._markets: dict[Market, MarketIngestion] = {}
        self._feeds: dict[str, ExchangeFeed] = {}
        self._work = start_work(self._name, self._run)

    def status(self) -> IngestorStatus:
        """Return what the actor does now."""
        age = time.monotonic() - self._alive_at
        return IngestorStatus(self._name, tuple(self._markets), self._rounds, self._failures, age)

    def look_now(self) -> None:
        """Begin the next round now instead of after the interval."""
        self._wake.set()

    def stop(self) -> None:
        """End the work after the page in hand; the actor itself stays until it is killed."""
        self._stop.set()
        self._wake.set()
        self._work.join(timeout=60.0)

    def _run(self) -> None:
        pool = open_pool(self._settings.require("database_url"), application=self._name, max_connections=2)
        back_off_s = 1.0
        while not self._stop.is_set():
            started = time.monotonic()
            # A producer that has failed may be fatally broken, so each stretch of rounds has its own.
            try:
                with MessageProducer(
                    self._settings.require("kafka_bootstrap_servers"), client_id=self._name, linger_ms=20.0
                ) as producer:
                    self._markets = {}
                    while not self._stop.is_set():
                        started = time.monotonic()
                        self._round(pool, producer)
                        back_off_s = 1.0
                        self._rest(self._interval_s - (time.monotonic() - started))
            except (PublishError, psycopg.Error, PoolTimeout) as error:
                self._failures += 1
                log.warning("ingestor.round_failed", actor=self._name, retry_in_s=back_off_s, error=str(error))
                self._rest(back_off_s)
                back_off_s = min(back_off_s * 2.0, LONGEST_BACK_OFF_S)

    def _round(self, pool: DatabasePool, producer: MessageProducer) -> None:
        with pool.connection() as connection:
            wanted = [one for one in wanted_markets(connection) if self._is_mine(one.market)]
        for gone in self._markets.keys() - {one.market for one in wanted}:
            del self._markets[gone]
        for one in wanted:
            if self._stop.is_set():
                return
            self._sign_of_life()
            try:
                self._ingestion(one, pool, producer).run_round()
            except (FeedError, ValueError) as error:
                # This market's exchange, or its name, is the trouble; the others go on.
                log.warning("ingestor.market_failed", actor=self._name, market=one.market, error=str(error))
                with pool.connection() as connection:
                    report_progress(connection, one.market, ingestor=self._name, error=str(error))
        self._rounds += 1
        self._sign_of_life()

    def _ingestion(self, one: IngestedMarket, pool: DatabasePool, producer: MessageProducer) -> MarketIngestion:
        known = self._markets.get(one.market)
        if known is not None and known.start_ms == one.start_ms:
            return known
        ingestion = MarketIngestion(
            one.market,
            one.start_ms,
            source=self._feed(one.market.exchange),
            pool=pool,
            producer=producer,
            ingestor=self._name,
            after_page=self._sign_of_life,
        )
        self._markets[one.market] = ingestion
        return ingestion

    def _feed(self, exchange: str) -> ExchangeFeed:
        if exchange not in self._feeds:
            url = self._settings.require("exchange_url") if exchange == SIMULATED_EXCHANGE else None
            self._feeds[exchange] = connect_exchange(exchange, url)
        return self._feeds[exchange]

    def _is_mine(self, market: Market) -> bool:
        return shard_of(market, self._shards) == self._shard

    def _sign_of_life(self) -> None:
        self._alive_at = time.monotonic()

    def _rest(self, seconds: float) -> None:
        self._wake.wait(max(seconds, 0.0))
        self._wake.clear()
        self._sign_of_life()
