"""Commands about data: back-ups, and the way back."""

from __future__ import annotations

from typing import Annotated

import typer

from cluster.deploy.back_up import back_up, restore_base, restore_database
from cluster.deploy.commands.session import DEV, PATIENCE_S, Context, Overlay, Timeout, target


def backup(
    overlay: Overlay = DEV,
    context: Context = None,
    timeout: Timeout = PATIENCE_S,
    only: Annotated[str | None, typer.Option(help="database, base or configuration; all when left out.")] = None,
) -> None:
    """Make the back-ups now that the schedules make every night, and wait for them."""
    with target(overlay, context, timeout) as (to, _):
        said = back_up(to.api, only, timeout_s=timeout, report=to.report)
    for line in said:
        typer.echo(line)


def restore(
    overlay: Overlay = DEV,
    context: Context = None,
    timeout: Timeout = PATIENCE_S,
    back_up: Annotated[
        str, typer.Option("--back-up", help="File (TIME.dump) or, with --base, folder (TIME).")
    ] = "latest",
    base: Annotated[
        bool,
        typer.Option("--base", help="PostgreSQL's files instead of a dump: faster for large ones, stops it meanwhile."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Put a back-up in the place of the database. What was there is kept beside it, under a name with the time."""
    with target(overlay, context, timeout) as (to, rendering):
        if not yes:
            typer.confirm(f"Replace the database in {rendering.namespace} by {back_up}?", abort=True, err=True)
        restored = restore_base if base else restore_database
        said = restored(to.api, back_up, timeout_s=timeout, report=to.report)
    for line in said:
        typer.echo(line)
