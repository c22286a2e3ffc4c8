"""`alpharay limits`: what an account may do, how it stands, and the change of its limits."""

from __future__ import annotations

import getpass
import json
from dataclasses import asdict, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from alpharay.cli.database import database_connection
from alpharay.cli.errors import errors_told
from alpharay.cli.tables import figures_table

if TYPE_CHECKING:
    from alpharay.store.trading_halts import TradingSwitch

app = typer.Typer(help="The limits of accounts.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Share = Annotated[float | None, typer.Option(min=0.0, help="Multiple of the account's equity.")]
Loss = Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Share of the equity from which nothing is opened.")]


class Limit(StrEnum):
    """The name of a limit."""

    POSITION = "position"
    CONCENTRATION = "concentration"
    GROSS = "gross"
    NET = "net"
    DAILY_LOSS = "daily-loss"
    DRAWDOWN = "drawdown"
    ORDERS_PER_SECOND = "orders-per-second"


@app.command()
def show(account: Annotated[str, typer.Argument(help="The account.")] = "paper", as_json: AsJson = False) -> None:
    """Show an account's limits, its halt and its circuit breaker.

    Example: alpharay limits show paper
    """
    with errors_told(), database_connection() as connection:
        from alpharay.store.trading_halts import UnknownAccountError, trading_switches

        switches = trading_switches(connection)
        if account not in switches:
            raise UnknownAccountError(f"account {account[:64]!r} is unknown; known are {', '.join(sorted(switches))}")
        _print(switches[account], as_json)


@app.command("set")
def set_(
    account: Annotated[str, typer.Argument(help="The account.")],
    reason: Annotated[str, typer.Option(help="Why; kept for good.")],
    actor: Annotated[str | None, typer.Option(help="Who; this system's user when left out.")] = None,
    position: Share = None,
    concentration: Share = None,
    gross: Share = None,
    net: Share = None,
    daily_loss: Loss = None,
    drawdown: Loss = None,
    orders_per_second: Annotated[int | None, typer.Option(min=0, help="Orders made within a second.")] = None,
    without: Annotated[list[Limit] | None, typer.Option(help="A limit to lift; may be given again.")] = None,
    as_json: AsJson = False,
) -> None:
    """Set some of an account's limits, others stay; the change is an event with who and why.

    Example: alpharay limits set paper --position 0.1 --without net --reason "one market only"
    """
    asked = {
        "position": position,
        "concentration": concentration,
        "gross": gross,
        "net": net,
        "daily_loss": daily_loss,
        "drawdown": drawdown,
        "orders_per_second": orders_per_second,
    }
    with errors_told():
        changes: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
        for lifted in without or ():
            name = lifted.value.replace("-", "_")
            if name in changes:
                raise ValueError(f"--without {lifted} and a value for it exclude each other")
            changes[name] = None
        if not changes:
            raise ValueError("name at least one limit, such as --position 0.1")
        with database_connection() as connection:
            from alpharay.store.trading_halts import change_limits

            switch = change_limits(
                connection,
                account,
                lambda limits: replace(limits, **changes),
                actor=actor or getpass.getuser(),
                reason=reason,
            )
        _print(switch, as_json)


def _print(switch: TradingSwitch, as_json: bool) -> None:
    limits = asdict(switch.limits)
    told = {
        "account": switch.account,
        "halted": switch.halted,
        "scope": switch.scope if switch.halted else None,
        "phase": switch.phase,
        "breaker_reason": switch.breaker.reason,
        "limits": limits,
    }
    if as_json:
        typer.echo(json.dumps(told))
        return
    rows = [(name.replace("_", " "), "none" if value is None else f"{value:g}") for name, value in limits.items()]
    Console().print(figures_table(("limit", switch.account), rows))
    why = switch.opening_refusal()
    typer.echo("may trade" if why is None else why)
