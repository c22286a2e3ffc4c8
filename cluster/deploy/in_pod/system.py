"""Read what the system knows of itself: Ray's nodes, Serve's applications, and the monitor's facts. Prints JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from typing import Any

DASHBOARD = "http://127.0.0.1:8265"
SECONDS = 60


def ask(path: str) -> Any:
    """Ask Ray's dashboard, with the cluster's token."""
    token = os.environ.get("RAY_AUTH_TOKEN")
    headers = {} if not token else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(DASHBOARD + path, headers=headers)  # noqa: S310 - its own address
    with urllib.request.urlopen(request, timeout=15) as answer:  # noqa: S310
        return json.load(answer)


def facts() -> str:
    """Return the facts about the whole system in Prometheus' text format."""
    command = [sys.executable, "-m", "ray_jobs.monitor", "--once"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
    if done.returncode != 0:
        raise OSError((done.stderr.strip().splitlines() or ["no output"])[-1])
    return done.stdout


def main() -> None:
    """Ask all three; one that does not answer leaves its error behind."""
    found: dict[str, Any] = {"errors": {}}
    questions: dict[str, Callable[[], Any]] = {
        "serve": lambda: ask("/api/serve/applications/"),
        "nodes": lambda: ask("/api/v0/nodes")["data"]["result"]["result"],
        "facts": facts,
    }
    for name, question in questions.items():
        try:
            found[name] = question()
        except (OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
            found["errors"][name] = str(error)[:300]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
