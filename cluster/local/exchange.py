"""The simulated exchange: candle files replayed through a real exchange's public API."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import httpx

from cluster.local.port import LOOPBACK, claim_port, remembered_port
from cluster.local.process import child_environment, end, launch, log_file, running
from cluster.local.ray_head import PROJECT
from cluster.local.readiness import wait_until_ready
from cluster.local.service import Report, Service, quiet
from cluster.local.terms import keep_terms, on_same_terms

NAME = "exchange"
START_SECONDS = 60.0


@dataclass(frozen=True)
class Replay:
    """What the exchange replays.

    Attributes
    ----------
    candles : Sequence[Path]
        Candle files; none means the sample candles that need no file.
    speed : float
        Seconds of the replay that pass in a real second.

    """

    candles: Sequence[Path] = ()
    speed: float = 1.0

    def arguments(self) -> list[str]:
        """Return the options of `python -m alpharay.feeds.simulated`."""
        files = [option for path in self.candles for option in ("--candles", str(path.resolve()))]
        return [*files, "--speed", str(self.speed)]


def start(folder: Path, report: Report = quiet, *, replay: Replay | None = None) -> Service:
    """Start the exchange, or adopt it; return once it answers.

    One that replays something else than `replay` is started again; None takes whatever runs, and the sample
    candles when nothing does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = (replay or Replay()).arguments()
    serving = probe(folder)
    if serving is not None:
        if replay is None or on_same_terms(folder, wanted):
            return serving
        report("ending: other candles are wanted")
    end(folder)
    # Another replay begins at its own beginning; the same one goes on where it was.
    clock = folder / "clock.json"
    if not on_same_terms(folder, wanted):
        clock.unlink(missing_ok=True)
        keep_terms(folder, wanted)
    report("starting")
    launch(
        folder,
        [
            *(sys.executable, "-m", "alpharay.feeds.simulated"),
            *("--host", LOOPBACK, "--port", str(claim_port(folder))),
            *("--clock-file", str(clock)),
            *wanted,
        ],
        environment=child_environment({"PYTHONPATH": str(PROJECT)}),
    )
    return wait_until_ready(folder, probe, seconds=START_SECONDS)


def stop(folder: Path) -> None:
    """End the exchange."""
    end(folder, patience_seconds=5.0)


def probe(folder: Path) -> Service | None:
    """Return the exchange when it runs and tells its time; None otherwise."""
    process, port = running(folder), remembered_port(folder)
    if process is None or port is None:
        return None
    address = f"http://{LOOPBACK}:{port}"
    try:
        with httpx.Client(base_url=address, trust_env=False, timeout=5.0) as client:
            client.get("/api/v3/time").raise_for_status()
    except httpx.HTTPError:
        return None
    return Service(
        name=NAME,
        version=_version(),
        address=address,
        url=address,
        pid=process.pid,
        log=log_file(folder),
        note="simulated",
    )


def _version() -> str:
    try:
        return version("alpharay")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unreleased"
