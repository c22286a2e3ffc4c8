"""What a process and its children use: processor time over a window, and memory that is theirs alone."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """Usage of a process tree: cores on average over `window_s`, and bytes that would be free without it."""

    cpu_cores: float
    window_s: float
    memory_bytes: int
    started_s: float


class ProcessTreeMeter:
    """Measures a process tree; each call gives the average since the call that was about `window_s` ago.

    Kubernetes' metrics server averages over about 15 s. A container's working set counts page cache and shared pages;
    the unique set size does not, because replicas of one node share their libraries and the object store.
    """

    def __init__(
        self, process_id: int | None = None, *, window_s: float = 15.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._process = psutil.Process(process_id)
        self._window_s = window_s
        self._clock = clock
        # The first window begins with the meter, not with the process: what the start costs is not usage.
        self._points = deque([(clock(), _processor_seconds(self._tree()))])

    def measure(self) -> ProcessUsage:
        """Return the usage; raises psutil.Error when the process is gone."""
        tree = self._tree()
        now, used = self._clock(), _processor_seconds(tree)
        while len(self._points) > 1 and self._points[1][0] <= now - self._window_s:
            self._points.popleft()
        since, used_then = self._points[0]
        self._points.append((now, used))
        window_s = now - since
        return ProcessUsage(
            cpu_cores=max(0.0, used - used_then) / window_s if window_s > 0.0 else 0.0,
            window_s=window_s,
            memory_bytes=_memory_bytes(tree),
            started_s=self._process.create_time(),
        )

    def _tree(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]


def _processor_seconds(tree: Sequence[psutil.Process]) -> float:
    """Return the tree's time, with that of children that have ended: it moves to the parent that waited."""
    total = 0.0
    for process in tree:
        try:
            times = process.cpu_times()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _memory_bytes(tree: Sequence[psutil.Process]) -> int:
    total = 0
    for process in tree:
        try:
            total += process.memory_full_info().uss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total
