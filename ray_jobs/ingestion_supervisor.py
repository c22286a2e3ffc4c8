"""The actor that keeps the ingestion actors in existence and alive, and scales the sinks."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import ray
import structlog
from ray.exceptions import GetTimeoutError, RayActorError

from alpharay.settings import Settings
from ray_jobs import candle_sink
from ray_jobs.candle_ingestor import CandleIngestor, ingestor_name
from ray_jobs.candle_sink import CandleSink
from ray_jobs.detached_actor import STATUS_TIMEOUT_S, ensure_actor, start_work
from ray_jobs.scaled_sinks import ScaledSinks, SinkScaling

NAME = "ingestion-supervisor"
CHECK_EVERY_S = 10.0
SILENT_AFTER_S = 600.0
"""An ingestor without a sign of life for this long hangs.

One request may wait for minutes: it retries with back-off.
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SupervisorStatus:
    """The actors that are kept alive, and how often one had to be replaced because it did not answer.

    `sinks` are wanted at the lag that was last read, in candles; None before that and while it cannot be read.
    """

    actors: tuple[str, ...]
    replaced: int
    sinks: int
    lag: int | None


def ensure_ingestion(settings: Settings, shards: int, interval_s: float) -> dict[str, Any]:
    """Start the ingestors and the first sink where they do not exist, and return them by name."""
    sink = ensure_actor(CandleSink, candle_sink.NAME, settings)
    return {candle_sink.NAME: sink, **ensure_ingestors(settings, shards, interval_s)}


def ensure_ingestors(settings: Settings, shards: int, interval_s: float) -> dict[str, Any]:
    """Start the ingestors that do not exist and return all of them by name."""
    names = {ingestor_name(shard): shard for shard in range(shards)}
    return {
        name: ensure_actor(CandleIngestor, name, settings, shard, shards, interval_s) for name, shard in names.items()
    }


@ray.remote
class IngestionSupervisor:
    """Looks at the ingestion actors every few seconds.

    Ray restarts those that die, this one those that hang. It starts and ends candle sinks as their lag asks for.
    """

    def __init__(self, settings: Settings, shards: int, interval_s: float, scaling: SinkScaling | None = None) -> None:
        self._settings = settings
        self._shards = shards
        self._interval_s = interval_s
        self._sinks = ScaledSinks(settings, scaling or SinkScaling())
        self._actors: dict[str, Any] = {}
        self._unanswered: dict[str, float] = {}
        self._replaced = 0
        self._stop = threading.Event()
        start_work(NAME, self._run)

    def status(self) -> SupervisorStatus:
        """Return which actors are kept alive."""
        return SupervisorStatus(tuple(sorted(self._actors)), self._replaced, self._sinks.count, self._sinks.lag)

    def stop(self) -> None:
        """Stop looking; the ingestion actors stay."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._sinks.synchronize()
            ingestors = ensure_ingestors(self._settings, self._shards, self._interval_s)
            self._actors = {**self._sinks.ensure(), **ingestors}
            for name, actor in self._actors.items():
                self._look_at(name, actor)
            self._stop.wait(min(CHECK_EVERY_S, self._sinks.seconds_to_sync()))

    def _look_at(self, name: str, actor: Any) -> None:
        now = time.monotonic()
        try:
            status = ray.get(actor.status.remote(), timeout=STATUS_TIMEOUT_S)
        except (GetTimeoutError, RayActorError) as error:
            silent_for_s = now - self._unanswered.setdefault(name, now)
            log.warning("supervisor.no_answer", actor=name, silent_for_s=silent_for_s, error=str(error))
        else:
            self._unanswered.pop(name, None)
            silent_for_s = getattr(status, "last_sign_of_life_s", 0.0)
        if silent_for_s > SILENT_AFTER_S:
            log.error("supervisor.replaced", actor=name, silent_for_s=silent_for_s)
            self._unanswered.pop(name, None)
            self._replaced += 1
            # Ray starts it again; it goes on from what is stored.
            ray.kill(actor, no_restart=False)
