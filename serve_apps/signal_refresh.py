"""Refresh the signal service's snapshot in the background."""

from __future__ import annotations

import time
from collections.abc import Callable

from alpharay.signals.snapshot import EMPTY, Snapshot
from serve_apps.background_copy import DEAD_AFTER_S, EVERY_S, BackgroundCopy, Source

__all__ = ["DEAD_AFTER_S", "SnapshotRefresher"]


class SnapshotRefresher(BackgroundCopy[Snapshot]):
    """Holds the newest snapshot; data that is too old is refused by its candles' age, not here."""

    def __init__(
        self,
        source: Source[Snapshot],
        *,
        every_s: float = EVERY_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(source, EMPTY, name="signal", every_s=every_s, monotonic=monotonic)

    @property
    def snapshot(self) -> Snapshot:
        """The newest one."""
        return self.held
