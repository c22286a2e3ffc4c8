"""Keep a copy of what is stored elsewhere, refreshed in a thread of its own; requests only ever read the newest one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

EVERY_S = 1.0
LONGEST_PAUSE_S = 10.0
DEAD_AFTER_S = 180.0
"""A refresh that takes longer hangs: every wait in it has a shorter timeout."""

Held = TypeVar("Held")
Source = Callable[[], Held]
"""Returns what is stored now; the same object when nothing changed. Raises when it cannot be read."""

log = structlog.get_logger(__name__)


class BackgroundCopy(Generic[Held]):
    """Holds the newest copy; while the source cannot be read the copy stays, and its age grows.

    Parameters
    ----------
    source : what reads the copy.
    empty : what is held before the first reading.
    name : the service's, for its log and its thread.
    every_s, longest_pause_s : from one reading to the next; after failures twice as long each time, up to the longest.
    """

    def __init__(
        self,
        source: Source[Held],
        empty: Held,
        *,
        name: str,
        every_s: float = EVERY_S,
        longest_pause_s: float = LONGEST_PAUSE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._name = name
        self._every_s = every_s
        self._longest_pause_s = longest_pause_s
        self._monotonic = monotonic
        self._stopping = threading.Event()
        self._reading = threading.Lock()
        self._thread: threading.Thread | None = None
        self._confirmed_at: float | None = None
        self._tried_at = monotonic()
        self.held: Held = empty
        self.failures = 0
        self.last_error: str | None = None

    @property
    def ready(self) -> bool:
        """Whether there is a copy at all."""
        return self._confirmed_at is not None

    def age_s(self) -> float | None:
        """Return the seconds since the newest copy began to be read; None before the first.

        So much may have changed since: a reading that takes long is old when it ends.
        """
        return None if self._confirmed_at is None else self._monotonic() - self._confirmed_at

    def is_alive(self) -> bool:
        """Tell whether the thread runs and does not hang."""
        runs = self._thread is not None and self._thread.is_alive()
        return runs and self._monotonic() - self._tried_at < DEAD_AFTER_S

    def start(self) -> None:
        """Take the first copy, then go on in the background; a failure of the first is tried again there."""
        self.refresh()
        self._thread = threading.Thread(target=self._run, name=f"{self._name}-refresher", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def refresh(self) -> bool:
        """Read once; False, with `last_error` set, when it failed."""
        # Who refreshes by hand waits for a reading under way: two at once could leave the older copy.
        with self._reading:
            return self._refresh()

    def _refresh(self) -> bool:
        began = self._tried_at = self._monotonic()
        try:
            self.held = self._source()
        except Exception as error:  # noqa: BLE001 - whatever is wrong, the old copy serves on and the next try may work
            self.failures += 1
            message = f"{type(error).__name__}: {error}"
            if message != self.last_error:
                log.warning("copy.refresh_failed", service=self._name, error=message)
            self.last_error = message
            return False
        if self.last_error is not None:
            log.info("copy.refresh_works_again", service=self._name)
        self.last_error = None
        self._confirmed_at = began
        return True

    def _run(self) -> None:
        pause = self._every_s
        while not self._stopping.wait(pause):
            pause = self._every_s if self.refresh() else min(pause * 2.0, self._longest_pause_s)
