"""The actor that keeps the ingestion actors in existence and alive."""

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

NAME = "ingestion-supervisor"
CHECK_EVERY_S = 10.0
SILENT_AFTER_S = 600.0
"""An ingestor without a sign of life for this long hangs.

One request may wait for minutes: it retries with back-off.
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SupervisorStatus:
    """The actors that are kept alive, and how often one had to be replaced because it did not answer."""

    actors: tuple[str, ...]
    replaced: int


def ensure_ingestion(settings: Settings, shards: int, interval_s: float) -> dict[str, Any]:
    """Start the ingestion actors that do not exist and return all of them by name."""
    actors = {candle_sink.NAME: ensure_actor(CandleSink, candle_sink.NAME, settings)}
    for shard in range(shards):
        name = ingestor_name(shard)
        actors[name] = ensure_actor(CandleIngestor, name, settings, shard, shards, interval_s)
    return actors


@ray.remote
class IngestionSupervisor:
    """Looks at the ingestion actors every few seconds.

    Ray restarts those that die, this one those that hang.
    """

    def __init__(self, settings: Settings, shards: int, interval_s: float) -> None:
        self._settings = settings
        self._shards = shards
        self._interval_s = interval_s
        self._actors: dict[str, Any] = {}
        self._unanswered: dict[str, float] = {}
        self._replaced = 0
        self._stop = threading.Event()
        start_work(NAME, self._run)

    def status(self) -> SupervisorStatus:
        """Return which actors are kept alive."""
        return SupervisorStatus(tuple(sorted(self._actors)), self._replaced)

    def stop(self) -> None:
        """Stop looking; the ingestion actors stay."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._actors = ensure_ingestion(self._settings, self._shards, self._interval_s)
            for name, actor in self._actors.items():
                self._look_at(name, actor)
            self._stop.wait(CHECK_EVERY_S)

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
