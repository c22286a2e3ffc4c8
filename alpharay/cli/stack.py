"""`alpharay stack`: the local services, up, down and looked at."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from alpharay.cli.errors import errors_told
from alpharay.cli.progress import PartProgress
from alpharay.settings import ENDPOINTS_FILE, settings, state_folder
from cluster.local import applications, stack
from cluster.local.endpoints import GENERIC_VARIABLES, ignored_variables
from cluster.local.exchange import Replay
from cluster.local.process import PartFailedError
from cluster.local.ray_head import PROJECT

app = typer.Typer(
    help="The local stack: PostgreSQL, Valkey, Kafka, a simulated exchange, Ray and Serve on this machine.",
    no_args_is_help=True,
)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON array, and no progress.")]
_STYLES = {"up": "green", "external": "cyan", "down": "red"}


@app.command()
def up(
    candles: Annotated[
        list[Path] | None,
        typer.Option(help="Candle file for the simulated exchange, named like BTC-USD_1m.parquet; may be repeated."),
    ] = None,
    speed: Annotated[float | None, typer.Option(help="Seconds of the replay that pass in a second.", min=0)] = None,
    as_json: AsJson = False,
) -> None:
    """Start every service that does not run yet; data of earlier days is kept.

    A service named by ALPHARAY_DATABASE_URL, ALPHARAY_KAFKA_BOOTSTRAP_SERVERS, ALPHARAY_REDIS_URL,
    ALPHARAY_EXCHANGE_URL or ALPHARAY_RAY_ADDRESS is used as it is.

    Example: alpharay stack up --candles BTC-USD_1m.parquet --speed 60
    """
    state = state_folder()
    _notice_ignored_variables()
    with _failures_told(), PartProgress(quiet=as_json) as progress:
        stack.up(state, progress, replay=_replay(candles, speed))
    parts = stack.status(state)
    if as_json:
        typer.echo(json.dumps([_as_dictionary(part) for part in parts], indent=2))
        return
    console = Console()
    _show(parts, state, console)
    console.print(f"\nAddresses with passwords: {state / ENDPOINTS_FILE}", soft_wrap=True, highlight=False)
    console.print("End everything: [bold]alpharay stack down[/]")


@app.command()
def down(
    purge: Annotated[bool, typer.Option("--purge", help="Delete the data too.")] = False,
    as_json: AsJson = False,
) -> None:
    """End every process of the stack; the data stays.

    Example: alpharay stack down
    """
    state = state_folder()
    with _failures_told(), PartProgress(quiet=as_json) as progress:
        stack.down(state, progress, purge=purge)
    if as_json:
        typer.echo(json.dumps([_as_dictionary(part) for part in stack.status(state)], indent=2))


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show each part's state, version, address, process, memory and log; exits with 1 when one is down.

    Example: alpharay stack status --json
    """
    state = state_folder()
    parts = stack.status(state)
    if as_json:
        typer.echo(json.dumps([_as_dictionary(part) for part in parts], indent=2))
    else:
        _show(parts, state, Console())
    if any(part.state == "down" for part in parts):
        raise typer.Exit(1)


@app.command()
def logs(
    part: Annotated[str | None, typer.Argument(help=f"One of {', '.join(stack.PARTS)}; all when left out.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", help="Lines of each log.", min=1)] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as the log grows.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the end of the parts' logs.

    Example: alpharay stack logs kafka --follow
    """
    if part is not None and part not in stack.PARTS:
        raise typer.BadParameter(f"must be one of {', '.join(stack.PARTS)}, was {part!r}")
    state = state_folder()
    wanted = stack.PARTS if part is None else (part,)
    files = {name: file for name in wanted if (file := stack.part_log(state, name)).exists()}
    if as_json:
        tails = {name: stack.log_lines(state, name, lines) for name in files}
        typer.echo(json.dumps([{"part": name, "log": str(files[name]), "lines": tails[name]} for name in files]))
    elif follow and files:
        # tail leaves at Ctrl-C, as this command does.
        subprocess.run(["tail", "-n", str(lines), "-F", *map(str, dict.fromkeys(files.values()))], check=False)  # noqa: S603, S607
    else:
        for name, file in files.items():
            typer.secho(f"==> {name}: {file}", bold=True)
            typer.echo("\n".join(stack.log_lines(state, name, lines)))


@app.command()
def deploy(
    configuration: Annotated[
        Path | None, typer.Argument(help="A Serve configuration; signal, risk and portfolio when left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Deploy Serve applications on the running stack, beside those that are there; returns once they run.

    Example: alpharay stack deploy
    """
    wanted = configuration or PROJECT / "serve_apps" / "all.yaml"
    if not wanted.is_file():
        raise typer.BadParameter(f"must be a file, was {wanted}", param_hint="CONFIGURATION")
    current = settings()
    with errors_told():
        dashboard, url = current.require("ray_dashboard_url"), current.require("serve_url")
    with _failures_told(), PartProgress(quiet=as_json) as progress:
        progress("serve", "working", "deploying")
        paths = applications.deploy(
            dashboard, wanted, partial(progress, "serve", "working"), token_file=current.ray_token_file
        )
        progress("serve", "up", url)
    deployed = {name: f"{url}{path.rstrip('/')}" for name, path in paths.items()}
    if as_json:
        typer.echo(json.dumps([{"application": name, "url": address} for name, address in deployed.items()]))
        return
    for name, address in deployed.items():
        typer.echo(f"{name}: {address}/docs")


def _replay(candles: list[Path] | None, speed: float | None) -> Replay | None:
    if not candles and speed is None:
        return None
    for path in candles or ():
        if not path.exists():
            raise typer.BadParameter(f"must be a file, was {path}", param_hint="--candles")
    return Replay(tuple(candles or ()), 1.0 if speed is None else speed)


@contextmanager
def _failures_told() -> Iterator[None]:
    try:
        yield
    except PartFailedError as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(1) from error


def _notice_ignored_variables() -> None:
    for name in ignored_variables():
        assert name in GENERIC_VARIABLES, "only generic names are ignored"
        typer.secho(
            f"{name} is ignored: it may be another project's. To use that service, set ALPHARAY_{name}.",
            fg="yellow",
            err=True,
        )


def _as_dictionary(part: stack.PartStatus) -> dict[str, Any]:
    service = part.service
    return {
        "part": part.part,
        "state": part.state,
        "version": service and service.version,
        "address": service and service.address,
        "pid": service and service.pid,
        "memory_bytes": part.memory_bytes,
        "log": service and str(service.log),
        "note": service and service.note,
    }


def _show(parts: list[stack.PartStatus], state: Path, console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("part", "state", "version", "address", "process", "memory"):
        justify: Literal["left", "right"] = "right" if heading in ("process", "memory") else "left"
        table.add_column(heading, no_wrap=True, justify=justify)
    for part in parts:
        service = part.service
        cells = (
            ("", "", "", "")
            if service is None
            else (service.version, service.address, str(service.pid), _mebibytes(part.memory_bytes))
        )
        table.add_row(part.part, Text(part.state, style=_STYLES[part.state]), *cells)
    console.print(table)
    for part in parts:
        if part.service is not None and part.service.note:
            console.print(f"{part.part}: {part.service.note}", style="dim", highlight=False, soft_wrap=True)
    console.print(f"logs: {state}/PART/server.log", style="dim", highlight=False, soft_wrap=True)


def _mebibytes(memory: int | None) -> str:
    return "" if memory is None else f"{memory / 1024**2:,.0f} MiB"
