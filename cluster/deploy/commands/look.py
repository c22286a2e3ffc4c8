"""Commands that look at a cluster and change nothing."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime

import typer
from rich.console import Console

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
