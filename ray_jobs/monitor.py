"""Job: show the state of the whole system as metrics.

Makes sure that the `monitor` actor exists, and exits; it goes on. Every few seconds it reads what no single process
knows: how far consumers are behind, dead letters, the ledger's balance, the age of each market's newest candle, what
waits in the outbox and the queues, leases, and how good signals and models were. Ray exports it with the metrics of its
node (docs/observability.md).

Examples
--------
    python -m ray_jobs.monitor
    python -m ray_jobs.monitor --once        # without Ray: read once, and print it in Prometheus' text format
"""

from __future__ import annotations

import threading
from typing import Annotated

import ray
import typer
from prometheus_client import CollectorRegistry

from alpharay.feeds.exchange_clock import ExchangeClock
from alpharay.settings import SettingMissingError, Settings, settings
from alpharay.store.database import open_pool
from alpharay.telemetry.registry import exposition, register
from ray_jobs.detached_actor import NAMESPACE, ensure_actor, start_work
from ray_jobs.system_facts import Reading, SystemFacts

NAME = "monitor"
EVERY_S = 15.0

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(help=__doc__)
def main(
    once: Annotated[bool, typer.Option("--once", help="Read once, print it, and exit.")] = False,
    every: Annotated[float, typer.Option(min=1.0, max=3600.0, help="Seconds between two readings.")] = EVERY_S,
) -> None:
    """Start the monitor or read once; see the module's text."""
    try:
        if once:
            typer.echo(metrics_once(settings()).decode(), nl=False)
        else:
            start_monitor(settings(), every)
            typer.echo(f"{NAME} runs")
    except (SettingMissingError, TimeoutError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


def start_monitor(current: Settings, every_s: float = EVERY_S) -> None:
    """Make sure that the actor runs; Ray is joined when the process has not done so."""
    if not ray.is_initialized():
        ray.init(address=current.ray_address or "auto", namespace=NAMESPACE, log_to_driver=False)
    ray.get(ensure_actor(Monitor, NAME, current, every_s).reading.remote(), timeout=120)


def metrics_once(current: Settings) -> bytes:
    """Return one reading in Prometheus' text format."""
    with open_pool(current.require("database_url"), application=NAME, max_connections=1) as pool:
        facts = SystemFacts(pool, current.require("kafka_bootstrap_servers"), ExchangeClock(current.exchange_url))
        facts.read()
        registry = CollectorRegistry()
        registry.register(facts)
        return exposition(registry)


@ray.remote
class Monitor:
    """Reads again and again; what it has read is in its process's metrics. It keeps nothing, so any copy may go on."""

    def __init__(self, current: Settings, every_s: float) -> None:
        self._stop = threading.Event()
        self._every_s = every_s
        self._pool = open_pool(current.require("database_url"), application=NAME, max_connections=1)
        clock = ExchangeClock(current.exchange_url)
        self._facts = SystemFacts(self._pool, current.require("kafka_bootstrap_servers"), clock)
        register(self._facts)
        self._work = start_work(NAME, self._run)

    def reading(self) -> Reading:
        """Return what was read last."""
        return self._facts.reading

    def stop(self) -> None:
        """End the work after the reading in hand."""
        self._stop.set()
        self._work.join(timeout=60.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._facts.read()
            self._stop.wait(self._every_s)
        self._pool.close()


if __name__ == "__main__":
    app()
