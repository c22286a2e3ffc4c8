"""A constant rate of requests for signals while a test does something to the cluster."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.local.process import child_environment
from tests.kubernetes.dev_cluster import NAMESPACE, REPOSITORY, says
from tests.kubernetes.node.network import inside

SERVICE = "serving-serve-svc"


@dataclass(frozen=True)
class SignalLoad:
    """What was asked until now, oldest first: `at` is the wall clock's time of the question."""

    file: Path

    def answers(self) -> list[dict[str, Any]]:
        """Return the answers so far, by the time of their question."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return sorted((json.loads(line) for line in lines), key=lambda one: one["at"])

    def failed(self, since: float = 0.0) -> list[dict[str, Any]]:
        """Return what was not answered with a signal, of what was asked after `since`."""
        return [one for one in self.answers() if one["at"] >= since and one["status"] != 200]

    def steady(self, seconds: float, since: float = 0.0) -> bool:
        """Tell whether the last `seconds` of questions, none before `since`, all brought signals."""
        begin = time.time() - seconds
        recent = [one for one in self.answers() if one["at"] >= begin]
        return begin >= since and len(recent) > 1 and all(one["status"] == 200 for one in recent)


@contextmanager
def asked_all_the_time(
    file: Path, every_s: float, symbol: str, price: float, *, patience_s: float, door: str | None = None
) -> Iterator[SignalLoad]:
    """Ask from the node's network as long as the block lasts; what is due at its end is waited for.

    `door` is the address and port of another way in than the applications' Service.
    """
    where = door or says("-n", NAMESPACE, "get", "service", SERVICE, "-o", "jsonpath={.spec.clusterIP}:8000")
    command = [sys.executable, "-m", "tests.kubernetes.asking", f"http://{where}/generate_signal"]
    asking = subprocess.Popen(
        inside([*command, symbol, str(price), str(every_s), str(patience_s), str(file)]),
        cwd=REPOSITORY,
        env=child_environment(),
    )
    try:
        yield SignalLoad(file)
    finally:
        asking.terminate()
        asking.wait(timeout=60)
