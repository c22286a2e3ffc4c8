"""Commands that look at a cluster and change nothing."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from cluster.deploy.access import forwards, hosts, token_command
from cluster.deploy.checks.checklist import LINES
from cluster.deploy.checks.checklist import check as checklist
from cluster.deploy.checks.verdict import Verdict
from cluster.deploy.commands.session import DEV, FAILED, AsJson, Context, Overlay, session
from cluster.deploy.status import read_status
from cluster.deploy.status_page import show


def status(overlay: Overlay = DEV, context: Context = None, as_json: AsJson = False) -> None:
    """Show pods, Ray nodes, applications and replicas, lag, candles and alerts; exits with 1 unless all is well."""
    with session(overlay, context) as opened:
        found = read_status(opened.kubectl, opened.api, datetime.now(UTC))
    if as_json:
        typer.echo(json.dumps({"is_well": found.is_well, **asdict(found)}, indent=2))
    else:
        show(found, Console())
    if not found.is_well:
        raise typer.Exit(FAILED)


def check(
    overlay: Overlay = DEV,
    context: Context = None,
    leave_out: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help=f"Line not to check: {', '.join(LINES)}; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hold the cluster against the production checklist; exits with 1 when a line fails.

    One line tries a door that no policy opens, from inside a pod; nothing is changed.
    """
    with session(overlay, context) as opened:
        verdicts = checklist(opened.kubectl, opened.api, leave_out or ())
    if as_json:
        typer.echo(json.dumps({name: asdict(verdict) for name, verdict in verdicts.items()}, indent=2))
    else:
        _show_verdicts(verdicts, leave_out or ())
    if any(one.state == "fail" for one in verdicts.values()):
        raise typer.Exit(FAILED)


def access(overlay: Overlay = DEV, context: Context = None) -> None:
    """Say how to get in: hosts from outside, commands that forward ports to here, and where the token is."""
    with session(overlay, context) as opened:
        outside, inside, token = hosts(opened.api), list(forwards(opened.api)), token_command(opened.api)
    for address in outside:
        typer.echo(f"from outside: {address}")
    if not outside:
        typer.echo("from outside: no way in; the components gateway and ingress make one")
    for what, command, address in inside:
        typer.echo(f"\n{what}\n  {command}\n  {address}")
    typer.echo(f"\nthe token that Ray asks for\n  {token}")


def _show_verdicts(verdicts: Mapping[str, Verdict], left_out: Collection[str]) -> None:
    styles = {"pass": ("✓", "green"), "fail": ("✗", "red"), "cannot tell": ("?", "yellow")}
    console = Console()
    for name, verdict in verdicts.items():
        mark, style = styles[verdict.state]
        console.print(Text.assemble((f"{mark} {LINES[name][0]}", style), f" ({name})"))
        console.print(Text(f"    {verdict.state}: {verdict.seen}"), soft_wrap=True)
        if verdict.to_do:
            console.print(Text(f"    to do: {verdict.to_do}", style="bold"), soft_wrap=True)
    for name in left_out:
        console.print(Text(f"- {LINES[name][0]} ({name}): left out", style="dim"))
