"""Job: have markets ingested. Makes sure that the ingestion actors exist, and exits; they go on.

Examples
--------
The sample markets of the simulated exchange, from the beginning, until all of it is stored:

    python -m ray_jobs.ingest --exchange simulated --symbols SPX,IXIC --timeframe 1d --wait-backfill

The last seven days of a live exchange, minute by minute, then on for ever:

    ray job submit -- python -m ray_jobs.ingest --exchange kraken --symbols BTC,ETH --timeframe 1m --days 7
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import ray
import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from alpharay.bus.topics import CANDLES
from alpharay.feeds.exchange import FeedError, connect_exchange
from alpharay.market.sample import SIMULATED_EXCHANGE
from alpharay.market.symbol import resolve_symbol
from alpharay.market.timeframe import DAY_MS, open_time_at, timeframe_ms
from alpharay.settings import SettingMissingError, Settings, settings
from alpharay.store.candle_rows import Market
from alpharay.store.candle_writer import CandleWriter
from alpharay.store.candles import count_candles
from alpharay.store.database import DatabasePool, open_pool
from alpharay.store.ingested_markets import IngestedMarket, want_market, wanted_markets
from alpharay.store.migrate import migrate
from alpharay.store.sink_lag import end_offsets, sink_lag
from ray_jobs.detached_actor import NAMESPACE, ensure_actor
from ray_jobs.ingestion_supervisor import NAME as SUPERVISOR
from ray_jobs.ingestion_supervisor import IngestionSupervisor, ensure_ingestion
from ray_jobs.scaled_sinks import SinkScaling

POLL_S = 0.3

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class BackfillFailedError(RuntimeError):
    """The history could not be ingested in time; the text says for which market and why."""


@app.command(help=__doc__)
def main(
    symbols: Annotated[str, typer.Option(help="Symbols, separated by commas: SPX,IXIC or BTC/USDT.")],
    exchange: Annotated[str, typer.Option(help="An exchange that ccxt knows, or simulated.")] = SIMULATED_EXCHANGE,
    timeframe: Annotated[str, typer.Option(help="Length of a candle: 1m, 1h, 1d …")] = "1d",
    start: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day, UTC.")] = None,
    days: Annotated[int, typer.Option(min=1, help="History of a live exchange when no start is given.")] = 7,
    shards: Annotated[int, typer.Option(min=1, max=64, help="Ingestion actors to spread the markets over.")] = 1,
    interval: Annotated[float, typer.Option(min=0.5, help="Seconds between two rounds.")] = 60.0,
    most_sinks: Annotated[int, typer.Option(min=1, max=64, help="Candle sinks at most, when candles wait.")] = 4,
    lag_per_sink: Annotated[
        int, typer.Option(min=1, help="Candles that may wait for one sink; more is work for another.")
    ] = 100_000,
    wait_backfill: Annotated[
        bool, typer.Option("--wait-backfill", help="Wait until the whole history is in the table.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait at most.")] = 3600.0,
) -> None:
    """Have markets ingested; see the module's text."""
    try:
        current = settings()
        markets = parse_markets(exchange, symbols, timeframe, current)
        starts = {market: first_open_time(market, start, days, current) for market in markets}
        scaling = SinkScaling(most=most_sinks, lag_per_sink=lag_per_sink)
        start_ingestion(current, starts, shards=shards, interval_s=interval, scaling=scaling)
        if wait_backfill:
            wait_for_backfill(current, markets, timeout_s=timeout)
    except (ValueError, SettingMissingError, FeedError, BackfillFailedError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


def parse_markets(exchange: str, symbols: str, timeframe: str, current: Settings) -> list[Market]:
    """Return the markets that the options name; raises ValueError for what is no symbol or time frame."""
    timeframe_ms(timeframe)
    names = [resolve_symbol(one, current.default_quote) for one in symbols.split(",") if one.strip()]
    if not names:
        raise ValueError(f"symbols must name at least one, was {symbols!r}")
    return [Market(exchange, name, timeframe) for name in dict.fromkeys(names)]


def start_ingestion(
    current: Settings,
    starts: Mapping[Market, int],
    *,
    shards: int = 1,
    interval_s: float = 60.0,
    scaling: SinkScaling | None = None,
) -> None:
    """Have each market ingested from its start (UTC ms) on; joins Ray when the process has not done so."""
    migrate(current.require("database_url"))
    with (
        open_pool(current.require("database_url"), application="ingest-job", max_connections=1) as pool,
        pool.connection() as connection,
    ):
        for market, start_ms in starts.items():
            start = want_market(connection, market, start_ms)
            if start > start_ms:
                typer.echo(f"{' '.join(market)} begins on {_day(start)}: older candles are not kept (ray_jobs.retain)")
    if not ray.is_initialized():
        ray.init(address=current.ray_address or "auto", namespace=NAMESPACE, log_to_driver=False)
    actors = ensure_ingestion(current, shards, interval_s)
    supervisor = ensure_actor(IngestionSupervisor, SUPERVISOR, current, shards, interval_s, scaling)
    ray.get([supervisor.status.remote(), *(actor.status.remote() for actor in actors.values())], timeout=120)
    for name, actor in actors.items():
        if name.startswith("candle-ingestor"):
            actor.look_now.remote()
    typer.echo(f"ingesting {len(starts)} markets with {', '.join(sorted(actors))}")


def wait_for_backfill(current: Settings, markets: list[Market], *, timeout_s: float) -> int:
    """Show the progress until the table holds everything up to the exchange's last closed candle.

    Returns the number of candles stored for the markets; raises BackfillFailedError after `timeout_s`.
    """
    now_ms = connect_exchange(markets[0].exchange, current.exchange_url).now_ms()
    target = open_time_at(now_ms, markets[0].timeframe)
    give_up_at = time.monotonic() + timeout_s
    with (
        open_pool(current.require("database_url"), application="ingest-wait", max_connections=1) as pool,
        _progress() as progress,
    ):
        tasks = {market: progress.add_task(market.symbol, total=None, rows=0, rate=0.0) for market in markets}
        started = time.monotonic()
        while True:
            states = _states(pool, markets)
            rows = _show(progress, tasks, states, pool, target, started)
            if all(state.complete_until is not None and state.complete_until >= target for state in states):
                break
            _give_up_when_late(give_up_at, states, target)
            time.sleep(POLL_S)
        _wait_for_sink(current, pool, give_up_at)
        rows = _show(progress, tasks, states, pool, target, started)
    elapsed = time.monotonic() - started
    typer.echo(f"{rows} candles of {len(markets)} markets stored in {elapsed:.1f} s")
    return rows


def first_open_time(market: Market, start: datetime | None, days: int, current: Settings) -> int:
    """Return where a market's ingestion begins (UTC ms): the start, the replay's first candle, or `days` ago."""
    if start is not None:
        return int(start.replace(tzinfo=UTC).timestamp() * 1000)
    if market.exchange != SIMULATED_EXCHANGE:
        return open_time_at(time.time_ns() // 1_000_000 - days * DAY_MS, market.timeframe)
    # The replay has one beginning; an exchange that speaks its protocol answers the oldest candle.
    feed = connect_exchange(market.exchange, current.require("exchange_url"))
    rows = feed.fetch_candles(market.symbol, market.timeframe, 0, 1).rows
    return open_time_at(int(str(rows[0][0])) if rows else feed.now_ms(), market.timeframe)


def _wait_for_sink(current: Settings, pool: DatabasePool, give_up_at: float) -> None:
    topic_id, ends = end_offsets(current.require("kafka_bootstrap_servers"), CANDLES)
    while True:
        with pool.connection() as connection:
            lag = sink_lag(connection, CandleWriter.consumer, topic_id, ends)
        if lag == 0:
            return
        if time.monotonic() > give_up_at:
            raise BackfillFailedError(
                f"{lag} candles are in Kafka and not in the table; see the candle-sink actor's log"
            )
        time.sleep(POLL_S)


def _states(pool: DatabasePool, markets: list[Market]) -> list[IngestedMarket]:
    with pool.connection() as connection:
        by_market = {state.market: state for state in wanted_markets(connection)}
    return [by_market[market] for market in markets]


def _give_up_when_late(give_up_at: float, states: list[IngestedMarket], target: int) -> None:
    if time.monotonic() <= give_up_at:
        return
    late = [state for state in states if state.complete_until is None or state.complete_until < target]
    reasons = "; ".join(f"{state.market.symbol}: {state.error or 'still under way'}" for state in late)
    raise BackfillFailedError(f"the back-fill was not complete in time: {reasons}")


def _show(
    progress: Progress,
    tasks: Mapping[Market, TaskID],
    states: list[IngestedMarket],
    pool: DatabasePool,
    target: int,
    started: float,
) -> int:
    total = 0
    for state in states:
        with pool.connection() as connection:
            rows = count_candles(connection, state.market)
        total += rows
        done = max((state.asked_until or state.start_ms) - state.start_ms, 0)
        # What was refused or skipped before the first candle counts as asked for, so the bar is of time, not
        # rows.
        progress.update(
            tasks[state.market],
            total=max(target - state.start_ms, 1),
            completed=min(done, max(target - state.start_ms, 1)),
            rows=rows,
            rate=rows / max(time.monotonic() - started, 1e-3),
        )
    return total


def _day(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d}"


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]:>9,} candles {task.fields[rate]:>9,.0f}/s"),
        TimeRemainingColumn(),
    )


if __name__ == "__main__":
    app()
