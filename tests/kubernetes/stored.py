"""What is stored and what the exchange has, as tests of recovery compare them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from alpharay.market.sample import sample_candles
from cluster.local.process import child_environment
from tests.kubernetes.dev_cluster import NAMESPACE, REPOSITORY, says
from tests.kubernetes.node.network import inside

DAY_MS = 86_400_000


@dataclass(frozen=True)
class Stored:
    """Rows of each market against the exchange's (see `stored_candles`), and the ids of stored signals."""

    markets: dict[str, dict[str, Any]]
    signals: frozenset[str]

    @property
    def last(self) -> int:
        """The open time of the newest candle that every market has (UTC ms); 0 where one has none."""
        return min(int(one["last"] or 0) for one in self.markets.values())

    @property
    def rows(self) -> int:
        """Candles of all markets."""
        return sum(one["rows"] for one in self.markets.values())

    def wrong(self) -> dict[str, dict[str, Any]]:
        """Return the markets of which candles are missing, differ, or were never the exchange's."""
        return {name: one for name, one in self.markets.items() if one["missing"] or one["different"]}


def stored() -> Stored | None:
    """Read what is stored; None while the database cannot be asked."""
    pod = says("-n", NAMESPACE, "get", "pod", "postgres-0", "-o", "jsonpath={.status.podIP}")
    url = f"postgresql://alpharay:only-for-dev@{pod}:5432/alpharay"
    answer = subprocess.run(
        inside([sys.executable, "-m", "tests.kubernetes.stored_candles", url]),
        cwd=REPOSITORY,
        env=child_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if answer.returncode != 0:
        return None
    told = json.loads(answer.stdout)
    return Stored(told["markets"], frozenset(told["signals"]))


def exchange_now_ms() -> int:
    """Return the exchange's time (UTC ms)."""
    address = says("-n", NAMESPACE, "get", "service", "exchange", "-o", "jsonpath={.spec.clusterIP}")
    ask = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())"
    command = inside([sys.executable, "-c", ask, f"http://{address}:9300/api/v3/time"])
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30, env=child_environment())
    return int(json.loads(answer.stdout)["serverTime"])


def newest_closed(now_ms: int) -> int:
    """Return when the newest candle opened that every market had closed at `now_ms`: the days have gaps."""
    times = (one.open_time for one in sample_candles())
    return min(int(one[np.searchsorted(one, now_ms - DAY_MS, side="right") - 1]) for one in times)
