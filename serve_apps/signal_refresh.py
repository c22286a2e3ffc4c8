"""Refresh the snapshot in a thread of its own; requests only ever read the newest one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from alpharay.signals.snapshot import EMPTY, Snapshot

EVERY_S = 1.0
LONGEST_PAUSE_S = 10.0
DEAD_AFTER_S = 180.0
"""A refresh that takes longer hangs: every wait in it has a shorter timeout."""

log = structlog.get_logger(__name__)


class SnapshotSource(Protocol):
    """Where snapshots come from."""

    def __call__(self) -> Snapshot:
        """Return what is stored now; the same object when nothing changed. Raises when it cannot be read."""


class SnapshotRefresher:
    """Holds the newest snapshot.

    While the source cannot be read the snapshot stays, and its age grows; data that is too old is refused by its
    candles' age, not here.
    """

    def __init__(
        self,
        source: SnapshotSource,
        *,
        every_s: float = EVERY_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._every_s = every_s
        self._monotonic = monotonic
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._confirmed_at: float | None = None
        self._tried_at = monotonic()
        self.snapshot: Snapshot = EMPTY
        self.failures = 0
        self.last_error: str | None = None

    @property
    def ready(self) -> bool:
        """Whether there is a snapshot at all."""
        return self._confirmed_at is not None

    def age_s(self) -> float | None:
        """Return the seconds since the snapshot was last confirmed to be what is stored; None before the first."""
        return None if self._confirmed_at is None else self._monotonic() - self._confirmed_at

    def is_alive(self) -> bool:
        """Tell whether the thread runs and does not hang."""
        runs = self._thread is not None and self._thread.is_alive()
        return runs and self._monotonic() - self._tried_at < DEAD_AFTER_S

    def start(self) -> None:
        """Take the first snapshot, then go on in the background; a failure of the first is tried again there."""
        self.refresh()
        self._thread = threading.Thread(target=self._run, name="snapshot-refresher", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def refresh(self) -> bool:
        """Read once; False, with `last_error` set, when it failed."""
        self._tried_at = self._monotonic()
        try:
            self.snapshot = self._source()
        except Exception as error:  # noqa: BLE001 - whatever is wrong, the old snapshot serves on and the next try may work
            self.failures += 1
            message = f"{type(error).__name__}: {error}"
            if message != self.last_error:
                log.warning("signal.refresh_failed", error=message)
            self.last_error = message
            return False
        if self.last_error is not None:
            log.info("signal.refresh_works_again")
        self.last_error = None
        self._confirmed_at = self._monotonic()
        return True

    def _run(self) -> None:
        pause = self._every_s
        while not self._stopping.wait(pause):
            pause = self._every_s if self.refresh() else min(pause * 2.0, LONGEST_PAUSE_S)
