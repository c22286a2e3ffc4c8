"""Job: move discovery requests, discovered strategies and signals between Kafka and PostgreSQL.

Makes sure that the `event-consumers` actor exists, and exits; it goes on. It turns requests into queued runs
and backtests, stores discovered strategies and signals, and publishes what finished runs have put into the outbox.

Examples
--------
    python -m ray_jobs.consume
    python -m ray_jobs.consume --once        # without Ray: process what is there now, and exit
"""

from __future__ import annotations

from typing import Annotated

import ray
import typer

from alpharay.bus.producer import MessageProducer
from alpharay.settings import SettingMissingError, Settings, settings
from alpharay.store.database import open_pool
from alpharay.store.migrate import migrate
from alpharay.store.outbox import publish_outbox
from ray_jobs.detached_actor import NAMESPACE, ensure_actor
from ray_jobs.event_consumers import NAME, EventConsumers, open_sinks

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(help=__doc__)
def main(
    once: Annotated[bool, typer.Option("--once", help="Process what is there now, and exit.")] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that --once may take at most.")] = 120.0,
) -> None:
    """Start or run the consumers; see the module's text."""
    try:
        if once:
            counts = consume_once(settings(), timeout_s=timeout)
            typer.echo(", ".join(f"{name}: {count}" for name, count in counts.items()))
        else:
            start_consumers(settings())
            typer.echo(f"{NAME} runs")
    except (SettingMissingError, TimeoutError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


def start_consumers(current: Settings) -> None:
    """Make sure that the actor runs; Ray is joined when the process has not done so."""
    migrate(current.require("database_url"))
    if not ray.is_initialized():
        ray.init(address=current.ray_address or "auto", namespace=NAMESPACE, log_to_driver=False)
    ray.get(ensure_actor(EventConsumers, NAME, current).status.remote(), timeout=120)


def consume_once(current: Settings, *, timeout_s: float = 120.0) -> dict[str, int]:
    """Publish the outbox, then process every waiting message; return how many of each, by name.

    Safe beside the running actor: the one that comes second finds the offset moved and leaves the partition.
    """
    migrate(current.require("database_url"))
    counts = {"published": 0}
    with open_pool(current.require("database_url"), application="consume-once", max_connections=2) as pool:
        with MessageProducer(current.require("kafka_bootstrap_servers"), client_id="consume-once") as producer:
            while published := publish_outbox(pool, producer):
                counts["published"] += published
        for sink in open_sinks(current, pool, gated=False):
            try:
                counts[sink.status.topic] = sink.drain(timeout_s)
            finally:
                sink.close()
    return counts


if __name__ == "__main__":
    app()
