"""Syncs on disk, one JSON line each, written by a thread: the policy itself never waits for a file."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from alpharay.autoscaling.horizontal_pod_autoscaler import ControllerSettings
from alpharay.autoscaling.trace_recording import trace_record

MOST_WAITING = 1024


class SyncJournal:
    """Appends records to `<folder>/<app>-<deployment>.jsonl`; what the disk cannot keep up with is dropped."""

    def __init__(self, folder: Path) -> None:
        self.dropped = 0
        self._folder = folder
        self._waiting: queue.Queue[tuple[str, Mapping[str, object]]] = queue.Queue(MOST_WAITING)
        threading.Thread(target=self._write, name="autoscaling-journal", daemon=True).start()

    def append(self, app: str, deployment: str, record: Mapping[str, object]) -> None:
        """Take a record; this never waits."""
        try:
            self._waiting.put_nowait((f"{app}-{deployment}.jsonl", record))
        except queue.Full:
            self.dropped += 1

    def _write(self) -> None:
        while True:
            name, record = self._waiting.get()
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                with (self._folder / name).open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
            except OSError:
                self.dropped += 1


def read_journal(path: Path) -> list[dict[str, object]]:
    """Return the records of a journal."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def journal_trace(path: Path, *, sync_period_s: float, settings: ControllerSettings) -> dict[str, object]:
    """Return a journal as a trace, which `python -m benchmarks.hpa` decides again.

    The first record holds the manifest; later ones do where it changed. Raises ValueError for an empty journal.
    """
    syncs = read_journal(path)
    if not syncs:
        raise ValueError(f"the journal must hold a sync, {path} was empty")
    manifest = cast("Mapping[str, object]", syncs[0]["hpa"])
    return trace_record(path.stem, manifest, syncs, sync_period_s=sync_period_s, settings=settings)
