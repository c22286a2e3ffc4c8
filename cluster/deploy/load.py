"""A load on a live cluster, from inside it: `alpharay load-test` in the serving head's pod."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cluster.deploy.api import Api
from cluster.deploy.errors import DeployError
from cluster.deploy.head import run_in_head
from cluster.deploy.manifests import Run
from cluster.deploy.smoke import SERVE

START_SECONDS = 120.0
MOST_SECONDS = 3600.0


@dataclass(frozen=True)
class Load:
    """Requests a second from `rate` to `ramp_to` over `seconds`; a GET of `path`, or a POST of `body` (JSON)."""

    path: str
    rate: float
    ramp_to: float
    seconds: float
    body: str | None = None
    key: str | None = None


def load_test(kubectl: Run, api: Api, load: Load) -> Any:
    """Run the load and return what `alpharay load-test --json` says: totals, seconds, replicas."""
    if not load.path.startswith("/"):
        raise DeployError(f"--path must begin with /, was {load.path!r}")
    words = [
        f"{SERVE}{load.path}",
        *("--rate", str(load.rate), "--ramp-to", str(load.ramp_to), "--seconds", str(load.seconds)),
        *("--dashboard", "http://127.0.0.1:8265"),
    ]
    words += [] if load.body is None else ["--body", load.body]
    words += [] if load.key is None else ["--header", f"X-API-Key:{load.key}"]
    return run_in_head(kubectl, api, "load", words, timeout_s=load.seconds + START_SECONDS)
