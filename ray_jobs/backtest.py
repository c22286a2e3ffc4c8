r"""Job: backtest one parameter set of a strategy on stored candles, or the backtests that requests have queued.

With --symbol it runs now and stores the result; the id of a request follows from what is asked for (or is given with
--request-id), so asking twice is one backtest, and the second answer is the stored one. With --from-queue it works on
the requests that came over Kafka (topic backtest-requests, `ray_jobs.consume`).

For example:

A strategy of the catalogue with one parameter of your own and a stop:

    python -m ray_jobs.backtest --symbol SPX/USD --timeframe 1d --strategy SMA_RSI \
        --parameters rsi=10 --stop-loss 0.05

The same on an account of money, with an exchange's fee tiers, ticks and lots:

    python -m ray_jobs.backtest --symbol SPX/USD --strategy SMA_RSI --frictions examples/exchange_costs.json

The rules in a file of your own, on the newest 90 days, as JSON:

    python -m ray_jobs.backtest --symbol BTC --timeframe 1h --days 90 --strategy my_rules.py --json

Queued backtests until none is left, as a job of the cluster:

    ray job submit -- python -m ray_jobs.backtest --from-queue --workers 4
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from alpharay.settings import SettingMissingError, Settings, settings

if TYPE_CHECKING:
    from alpharay.bus.messages import BacktestRequest
    from alpharay.store.backtests import BacktestState

# \b keeps the examples' lines as they are.
HELP = re.sub(r"\n\n(?=    )", "\n\n\b\n", __doc__ or "")

SHOWN_METRICS = ("total_return", "cagr", "sharpe", "sortino", "max_drawdown", "win_rate", "profit_factor", "exposure")

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(help=HELP)
def main(
    symbol: Annotated[str | None, typer.Option(help="SPX/USD, or SPX for the default quote.")] = None,
    strategy: Annotated[str | None, typer.Option(help="A name, or a .py file with one strategy.")] = None,
    parameters: Annotated[str, typer.Option(help="name=value, separated by commas; defaults otherwise.")] = "",
    timeframe: Annotated[str, typer.Option(help="Length of a candle: 1m, 1h, 1d …")] = "1d",
    exchange: Annotated[
        str | None, typer.Option(help="Where the candles are from; needed when several have the symbol.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Only the newest days; all when not given.")] = None,
    fee: Annotated[float, typer.Option(help="Fraction of the traded value, each side.")] = 0.001,
    slippage: Annotated[float, typer.Option(help="Fraction of the price, each side.")] = 0.0002,
    frictions: Annotated[
        Path | None, typer.Option(help="JSON file of an account's fee tiers, impact, ticks, lots, funding.")
    ] = None,
    stop_loss: Annotated[float | None, typer.Option(help="Fraction of the entry price.")] = None,
    take_profit: Annotated[float | None, typer.Option(help="Fraction of the entry price.")] = None,
    trailing_stop: Annotated[float | None, typer.Option(help="Fraction of the best price since the entry.")] = None,
    request_id: Annotated[str | None, typer.Option(help="An id of your own, to ask again safely.")] = None,
    from_queue: Annotated[bool, typer.Option("--from-queue", help="Run queued backtests instead.")] = False,
    forever: Annotated[bool, typer.Option("--forever", help="With --from-queue: wait for more.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=0, help="With --from-queue: Ray workers; 0 for this process.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Backtest; see the module's text."""
    from alpharay.backtest.frictions import frictions_to_json, read_frictions

    try:
        current = settings()
        if from_queue:
            run_queued(current, workers=workers, forever=forever, as_json=as_json)
            return
        if symbol is None or strategy is None:
            raise typer.BadParameter("give --symbol and --strategy to backtest now, or --from-queue")
        state = run_now(
            current,
            symbol,
            strategy,
            timeframe=timeframe,
            exchange=exchange,
            days=days,
            request_id=request_id,
            parameters=parsed_parameters(parameters),
            fee=fee,
            slippage=slippage,
            frictions=None if frictions is None else frictions_to_json(read_frictions(frictions)),
            stop_loss=stop_loss,
            take_profit=take_profit,
            trailing_stop=trailing_stop,
        )
    except (ValueError, LookupError, RuntimeError, SettingMissingError) as error:
        typer.echo(f"error: {error.args[0] if error.args else error}", err=True)
        raise typer.Exit(2) from error
    show(state, as_json=as_json)
    if state.status != "DONE":
        raise typer.Exit(1)


def parsed_parameters(text: str) -> dict[str, float]:
    """Return the values by name of `fast=12,slow=26`; raises ValueError for what is not name=number."""
    found = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, sign, value = item.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            raise ValueError(f"a parameter is name=number, was {item!r}") from None
        if not sign:
            raise ValueError(f"a parameter is name=number, was {item!r}")
    return found


def run_now(
    current: Settings,
    symbol: str,
    strategy: str,
    *,
    timeframe: str,
    exchange: str | None,
    days: int | None,
    request_id: str | None,
    **asked: Any,
) -> BacktestState:
    """Run one backtest, unless its id is known, and return how it stands.

    Raises ValueError or LookupError for what cannot be run, RuntimeError while another process runs the same.
    """
    from alpharay.bus.messages import BacktestRequest
    from alpharay.market.symbol import resolve_symbol
    from alpharay.market.timeframe import DAY_MS, timeframe_ms
    from alpharay.store.backtest_requests import check_backtest_request
    from alpharay.store.backtests import backtest_state, claim_backtest, enqueue_backtest, reopen_backtest
    from alpharay.store.candles import newest_open_time, oldest_open_time
    from alpharay.store.database import in_transaction
    from alpharay.strategies.loading import strategies_from
    from ray_jobs.discovery_messages import carried_rules
    from ray_jobs.lease_owner import owner_name
    from ray_jobs.market_discovery import discovery_pool
    from ray_jobs.queued_backtests import run_backtest
    from ray_jobs.stored_market import find_market

    found = strategies_from(strategy)
    if len(found) != 1:
        raise ValueError(f"one strategy is backtested at a time, was {', '.join(item.name for item in found)}")
    with discovery_pool(current) as pool:
        with pool.connection() as connection:
            market = find_market(connection, resolve_symbol(symbol, current.default_quote), timeframe, exchange)
            newest, oldest = newest_open_time(connection, market), oldest_open_time(connection, market)
        assert newest is not None, "a market that was found has a candle"
        assert oldest is not None, "a market that was found has a candle"
        request = identified(
            BacktestRequest(
                request_id=request_id or "",
                exchange=market.exchange,
                symbol=market.symbol,
                timeframe=timeframe,
                start_time=oldest if days is None else max(newest - days * DAY_MS + 1, oldest),
                end_time=newest + timeframe_ms(timeframe),
                strategy_name=found[0].name,
                strategy=carried_rules(found[0]),
                **asked,
            )
        )
        check_backtest_request(request)
        with pool.connection() as connection:
            if not enqueue_backtest(connection, request):
                reopen_backtest(connection, request.request_id)
        claimed = in_transaction(pool, lambda connection: claim_backtest(connection, owner_name(), request.request_id))
        if claimed is not None:
            run_backtest(pool, claimed)
        with pool.connection() as connection:
            state = backtest_state(connection, request.request_id)
    assert state is not None, "the request was queued above"
    if state.status not in ("DONE", "FAILED"):
        raise RuntimeError(f"{request.request_id} is being run by another process now: ask again in a minute")
    return state


def identified(request: BacktestRequest) -> BacktestRequest:
    """Return the request with an id that follows from its content, unless it has one."""
    if request.request_id:
        return request
    asked = {key: value for key, value in msgspec.structs.asdict(request).items() if value is not None}
    digest = hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()
    return msgspec.structs.replace(request, request_id=f"{request.strategy_name.lower()}-{digest[:24]}")


def run_queued(current: Settings, *, workers: int | None, forever: bool, as_json: bool) -> None:
    """Run queued backtests until none is left, or for ever."""
    from ray_jobs.queued_backtests import BacktestQueue
    from ray_jobs.work_queue import work_on

    console = Console(stderr=as_json)
    ended = work_on(
        BacktestQueue(candle_bytes=current.candle_bytes),
        current,
        workers=workers,
        forever=forever,
        tell=lambda line: console.print(line, highlight=False, soft_wrap=True),
    )
    if as_json:
        typer.echo(json.dumps({"ended": ended}))
    else:
        console.print(f"{ended} backtests ended")


def show(state: BacktestState, *, as_json: bool) -> None:
    """Print how a backtest stands."""
    request = state.request
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "request_id": request.request_id,
                    "status": state.status,
                    "error": state.error,
                    "request": msgspec.to_builtins(request),
                    **(state.result or {}),
                },
                indent=2,
            )
        )
        return
    console = Console()
    if state.result is None:
        console.print(f"{request.request_id} failed: {state.error}")
        return
    title = f"{request.strategy_name} on {request.exchange} {request.symbol} {request.timeframe}"
    if request.frictions is not None:
        from alpharay.backtest.frictions import frictions_from_json, frictions_text

        title += f", {frictions_text(frictions_from_json(request.frictions))}"
    table = Table(title=title)
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name in SHOWN_METRICS:
        value = state.result["metrics"][name]
        table.add_row(name.replace("_", " "), "infinite" if value is None else f"{value:,.4g}")
    for name, value in state.result["trades"].items():
        if isinstance(value, (int, float)) and not name.endswith("_time"):
            table.add_row(f"trades: {name.replace('_', ' ')}", f"{value:,.4g}")
    console.print(table)
    console.print(f"stored as {request.request_id}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    app()
