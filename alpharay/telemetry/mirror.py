"""Show a process's metrics elsewhere too: in gauges of another system that collects from every process of a node.

Each sample becomes a gauge of the same name and value, buckets of histograms included: to a query a counter is a value
that grows. So each metric is made once, whatever collects it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog
from prometheus_client.parser import text_string_to_metric_families

PREFIX = "alpharay_"
PROCESS = "process"
"""The label that tells processes of one kind apart."""

EVERY_S = 5.0
"""Ray forgets a gauge that was not set for twice its report interval of 10 s."""

log = structlog.get_logger(__name__)


class MirrorGauge(Protocol):
    """A gauge of the other system, such as `ray.util.metrics.Gauge`."""

    def set(self, value: float, tags: dict[str, str]) -> None:
        """Set the value for these labels."""


GaugeMaker = Callable[[str, str, tuple[str, ...]], MirrorGauge]
"""Makes a gauge of a name, a meaning and names of labels."""


class Mirror:
    """Copies what `text` returns, in Prometheus' text format, into gauges made by `make_gauge`."""

    def __init__(self, text: Callable[[], bytes], make_gauge: GaugeMaker, process: str) -> None:
        self._text = text
        self._make_gauge = make_gauge
        self._process = process
        self._gauges: dict[str, tuple[MirrorGauge, tuple[str, ...]]] = {}

    def copy(self) -> int:
        """Set every gauge once and return how many samples that were.

        Left out are values that are no number, times of creation, and a sample with other labels than its name's first.
        """
        copied = 0
        for family in text_string_to_metric_families(self._text().decode()):
            for sample in family.samples:
                if not sample.name.startswith(PREFIX) or sample.name.endswith("_created"):
                    continue
                if math.isfinite(sample.value):
                    copied += self._set(sample.name, family.documentation, sample.labels, sample.value)
        return copied

    def _set(self, name: str, meaning: str, labels: Mapping[str, str], value: float) -> bool:
        if name not in self._gauges:
            names = tuple(labels)
            self._gauges[name] = (self._make_gauge(name, meaning, (*names, PROCESS)), names)
        gauge, names = self._gauges[name]
        if set(names) != set(labels):
            return False
        gauge.set(value, {**labels, PROCESS: self._process})
        return True


def start_mirror(
    text: Callable[[], bytes], make_gauge: GaugeMaker, process: str, *, every_s: float = EVERY_S
) -> threading.Thread:
    """Copy the metrics every few seconds, from a thread that ends with the process."""
    mirror = Mirror(text, make_gauge, process)

    def run() -> None:
        told: str | None = None
        pause = threading.Event()
        while True:
            try:
                mirror.copy()
                told = None
            except Exception as error:  # noqa: BLE001 - metrics must not end the process that they are about
                if told != str(error):
                    log.warning("metrics.not_mirrored", process=process, error=str(error))
                told = str(error)
            pause.wait(every_s)

    thread = threading.Thread(target=run, name="metrics-mirror", daemon=True)
    thread.start()
    return thread


def joined(texts: Sequence[Callable[[], bytes]]) -> Callable[[], bytes]:
    """Return a function that returns all the texts, one after the other."""
    return lambda: b"".join(text() for text in texts)
