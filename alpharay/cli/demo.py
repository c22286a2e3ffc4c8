"""`alpharay demo`: the main job from an exchange's candles to a served signal, on the local stack."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.rule import Rule

from alpharay.cli.progress import PartProgress
from alpharay.settings import Settings, prepare_for_ray, settings, state_folder

PROJECT = Path(__file__).resolve().parents[2]
COMPILE_SECONDS = 600.0
SIGNAL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Demo:
    """What the options asked for."""

    candles: Path | None
    exchange: str | None
    symbols: str | None
    days: int
    population: int
    generations: int
    seed: int


def demo(
    candles: Annotated[
        Path | None,
        typer.Option(help="Replay this candle file (parquet or CSV, named like BTC-USD_1m.parquet)."),
    ] = None,
    exchange: Annotated[
        str | None,
        typer.Option(help="Use a live exchange that ccxt knows instead, such as kraken (needs the network)."),
    ] = None,
    symbols: Annotated[
        str | None, typer.Option(help="Symbols, separated by commas; BTC,ETH on a live exchange.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=365, help="Days of history of a live exchange.")] = 7,
    population: Annotated[int, typer.Option(min=2, help="Genomes a generation.")] = 50,
    generations: Annotated[int, typer.Option(min=1, help="Generations at most.")] = 30,
    seed: Annotated[int, typer.Option(min=0, help="The same seed finds the same strategies.")] = 1,
) -> None:
    """Start everything, ingest real candles, discover strategies on them and serve a signal.

    Without options it works offline: twenty years of daily S&P 500 and NASDAQ candles, replayed by an exchange on this
    machine. The stack stays up afterwards; `make down` ends it.

    Example: alpharay demo --candles BTC-USD_1m.parquet
    """
    if candles is not None and exchange is not None:
        raise typer.BadParameter(f"give either --candles or --exchange, was {candles} and {exchange}")
    if candles is not None and not candles.is_file():
        raise typer.BadParameter(f"must be a file, was {candles}", param_hint="--candles")
    wanted = Demo(candles, exchange, symbols, days, population, generations, seed)
    console = Console()
    started = time.monotonic()
    # Ray, Numba and ccxt take seconds to import: only once the options are known to be good.
    from cluster.local.process import PartFailedError

    # Numba compiles for half a minute on a first run, while the stack's processes mostly wait.
    compiling = subprocess.Popen(
        [sys.executable, "-m", "alpharay.cli.main", "compile"], stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _run(console, wanted, compiling)
    except PartFailedError as error:
        console.print(f"[red]{error}[/]", highlight=False)
        console.print("What runs stays up: `alpharay stack status` and `alpharay stack logs` tell more.")
        raise typer.Exit(1) from error
    finally:
        compiling.kill()
        compiling.wait(timeout=10.0)
    console.print(f"[dim]The demo took {time.monotonic() - started:.0f} s.[/]")


def _run(console: Console, wanted: Demo, compiling: subprocess.Popen[bytes]) -> None:
    _start_stack(console, wanted)
    # The stack has just written where everything is; whatever was read before that is stale.
    settings.cache_clear()
    current = settings()
    prepare_for_ray(current)
    markets = _markets(current, wanted)
    with _step(console, 2, "Ingest candles: exchange → Kafka → PostgreSQL"):
        _ingest(current, markets, wanted.days)
    with _step(console, 3, "Deploy the signal service on Ray Serve"):
        _deploy(current, compiling)
    with _step(console, 4, "Discover strategies on Ray workers"):
        _discover(current, markets, wanted)
    with _step(console, 5, "Ask for a signal"):
        _ask(console, current, markets)


@contextmanager
def _step(console: Console, number: int, title: str) -> Iterator[None]:
    console.print(Rule(f"{number}. {title}", align="left", style="cyan"))
    yield


def _start_stack(console: Console, wanted: Demo) -> None:
    from cluster.local import stack
    from cluster.local.exchange import Replay

    with (
        _step(console, 1, "Start the stack: PostgreSQL, Kafka, Valkey, a simulated exchange, Ray, Serve"),
        PartProgress() as progress,
    ):
        stack.up(state_folder(), progress, replay=Replay((wanted.candles,) if wanted.candles else ()))


def _markets(current: Settings, wanted: Demo) -> list[Any]:
    from alpharay.market.files import read_candles
    from alpharay.market.sample import SIMULATED_EXCHANGE
    from ray_jobs.ingest import parse_markets

    if wanted.exchange is not None:
        return parse_markets(wanted.exchange, wanted.symbols or "BTC,ETH", "1m", current)
    if wanted.candles is None:
        return parse_markets(SIMULATED_EXCHANGE, wanted.symbols or "SPX,IXIC", "1d", current)
    replayed = read_candles(wanted.candles)
    return parse_markets(SIMULATED_EXCHANGE, wanted.symbols or replayed.symbol, replayed.timeframe, current)


def _ingest(current: Settings, markets: list[Any], days: int) -> None:
    from ray_jobs.consume import start_consumers
    from ray_jobs.ingest import first_open_time, start_ingestion, wait_for_backfill

    start_ingestion(current, {market: first_open_time(market, None, days, current) for market in markets})
    start_consumers(current)
    wait_for_backfill(current, markets, timeout_s=1_800.0)


def _deploy(current: Settings, compiling: subprocess.Popen[bytes]) -> None:
    from cluster.local.applications import deploy

    with PartProgress() as progress:
        if compiling.poll() is None:
            progress("kernels", "working", "compiling, on the first run only")
            try:
                compiled = compiling.wait(timeout=COMPILE_SECONDS) == 0
            except subprocess.TimeoutExpired:
                compiled = False
            progress("kernels", "up", "compiled" if compiled else "not compiled ahead: the first search does it")
        progress("signal", "working", "deploying")
        deploy(
            current.require("ray_dashboard_url"),
            PROJECT / "serve_apps" / "signal.yaml",
            lambda text: progress("signal", "working", text),
            token_file=current.ray_token_file,
        )
        progress("signal", "up", f"{current.require('serve_url')}/generate_signal")


def _discover(current: Settings, markets: list[Any], wanted: Demo) -> None:
    from alpharay.backtest.costs import Costs
    from alpharay.discovery.search import SearchSettings
    from alpharay.strategies.catalogue import CATALOGUE
    from ray_jobs.discover import discover_now
    from ray_jobs.market_discovery import MarketDiscovery

    for market in markets:
        asked = MarketDiscovery(
            symbol=market.symbol,
            timeframe=market.timeframe,
            exchange=market.exchange,
            days=None,
            strategies=tuple(CATALOGUE.values()),
            search=SearchSettings(population=wanted.population, generations=wanted.generations, seed=wanted.seed),
            costs=Costs(),
            workers=None,
            time_budget_s=None,
        )
        discover_now(current, asked, out=None, store=True, as_json=False)


def _ask(console: Console, current: Settings, markets: list[Any]) -> None:
    url, market = current.require("serve_url"), markets[0]
    base = market.symbol.split("/")[0]
    with (
        httpx.Client(base_url=url, trust_env=False, timeout=10.0) as client,
        console.status("waiting for the strategies"),
    ):
        answer = _first_answer(client, base)
    body = json.dumps({"symbol": base, "price": answer["candle_close"]})
    console.print_json(data=_short(answer))
    for name, value in (
        ("signal", f"{url}/generate_signal"),
        ("try it", f"curl -s {url}/generate_signal -H 'Content-Type: application/json' -d '{body}'"),
        ("API docs", f"{url}/docs"),
        ("Ray dashboard", current.require("ray_dashboard_url")),
        ("end everything", "make down"),
    ):
        console.print(f"[bold]{name:>15}[/]  {value}", highlight=False, soft_wrap=True)


def _first_answer(client: httpx.Client, base: str) -> dict[str, Any]:
    """Return the first answer that rests on strategies, or the last one after a while."""
    give_up_at = time.monotonic() + SIGNAL_SECONDS
    while True:
        price = _newest_close(client, base)
        response = client.post("/generate_signal", json={"symbol": base, "price": price}) if price else None
        if response is not None and response.status_code == httpx.codes.OK:
            answer: dict[str, Any] = response.json()
            if answer["strategies"] or time.monotonic() > give_up_at:
                return answer
        if time.monotonic() > give_up_at:
            from cluster.local.process import PartFailedError

            said = response.text if response is not None else "no candle of the symbol"
            raise PartFailedError(f"the signal service did not answer for {base}: {said}")
        time.sleep(0.5)


def _newest_close(client: httpx.Client, base: str) -> float | None:
    """Return the newest close that the service knows for the symbol, as its status tells it."""
    for known in client.get("/status").json().get("markets", []):
        if known["symbol"].split("/")[0] == base:
            return float(known["candle_close"])
    return None


def _short(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer with its three weightiest strategies, by name and vote."""
    heavy = sorted(answer["strategies"], key=lambda item: -item["weight"])[:3]
    strategies = [{key: item[key] for key in ("name", "status", "parameters", "vote", "weight")} for item in heavy]
    return {**answer, "strategies": strategies, "strategies_in_all": len(answer["strategies"])}
