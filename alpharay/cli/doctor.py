"""`alpharay doctor`: what would not work on this machine, and its fix."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from alpharay.settings import state_folder
from cluster.local.doctor import Finding, examine

_MARKS = {"fine": "[green]fine[/]", "warning": "[yellow]warning[/]", "blocking": "[red]blocking[/]"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as one JSON array.")] = False,
) -> None:
    """Look at this machine in two seconds: platform, memory, disk, ports ... and name the fix of each problem.

    Exits with 1 when something stands in the way of the local stack. Nothing is changed.

    Example: alpharay doctor --json
    """
    findings = examine(state_folder())
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _show(findings, Console())
    if any(finding.verdict == "blocking" for finding in findings):
        raise typer.Exit(1)


def _show(findings: list[Finding], console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("", "verdict", "found"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        table.add_row(finding.name, _MARKS[finding.verdict], finding.detail)
        if finding.fix:
            table.add_row("", "fix", f"[bold]{finding.fix}[/]")
    console.print(table)
