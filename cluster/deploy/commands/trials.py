"""Commands that try a live cluster: a short test, and a load."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from cluster.deploy.commands.session import DEV, FAILED, AsJson, Context, Overlay, session
from cluster.deploy.load import MOST_SECONDS, Load
from cluster.deploy.load import load_test as run_load
from cluster.deploy.smoke import smoke_test

Key = Annotated[
    str | None,
    typer.Option(envvar="ALPHARAY_API_KEY", show_envvar=True, help="API key, where the applications ask for one."),
]


def smoke(overlay: Overlay = DEV, context: Context = None, key: Key = None, as_json: AsJson = False) -> None:
    """Ask each application, have a signal decided, and be refused as a stranger; exits with 1 when one fails."""
    with session(overlay, context) as opened:
        trials = smoke_test(opened.kubectl, opened.api, key)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in trials], indent=2))
    else:
        for one in trials:
            typer.secho("✓ " if one.passed else "✗ ", fg="green" if one.passed else "red", nl=False)
            typer.echo(f"{one.name}: {one.said}")
    if not all(one.passed for one in trials):
        raise typer.Exit(FAILED)


def load_test(
    overlay: Overlay = DEV,
    context: Context = None,
    path: Annotated[str, typer.Option(help="What is asked.")] = "/health",
    body: Annotated[str | None, typer.Option(help="JSON that is POSTed; without it the requests are GETs.")] = None,
    rate: Annotated[float, typer.Option(min=0.1, help="Requests a second at the beginning.")] = 10.0,
    ramp_to: Annotated[
        float | None, typer.Option(min=0.1, help="Requests a second at the end; else as at first.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1.0, max=MOST_SECONDS, help="How long.")] = 30.0,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Load the applications from inside the cluster, and show what was answered and how many replicas there were.

    The load comes from the head's pod, so it is bounded by what that may use; exits with 1 when a request failed.
    """
    with session(overlay, context) as opened:
        load = Load(path, rate, rate if ramp_to is None else ramp_to, seconds, body, key)
        answer = run_load(opened.kubectl, opened.api, load)
    if as_json:
        typer.echo(json.dumps(answer))
    else:
        for name, value in answer.items():
            if isinstance(value, int | float):
                figure = f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
                typer.echo(f"{name.replace('_', ' '):24} {figure}")
        running = [one["running"] for one in answer.get("replicas", ())]
        if running:
            typer.echo(f"{'replicas':24} {running[0]} at first, {max(running)} at most, {running[-1]} at last")
    if answer.get("failed"):
        raise typer.Exit(FAILED)
