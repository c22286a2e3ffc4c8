"""Commands about data: back-ups, and the way back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from cluster.deploy.back_up import back_up, fetch, restore_base, restore_database, until_of
from cluster.deploy.commands.session import DEV, PATIENCE_S, Context, Overlay, Timeout, target


def backup(
    overlay: Overlay = DEV,
    context: Context = None,
    timeout: Timeout = PATIENCE_S,
    only: Annotated[str | None, typer.Option(help="database, base, configuration or s3; all when left out.")] = None,
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
    until: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="With --base: go on from there to a time (2026-11-21T10:00:00Z), or to the end of what was archived "
            "(end). Then the newest back-up from before that time is taken, unless --back-up names one.",
        ),
    ] = "",
    from_bucket: Annotated[
        bool, typer.Option("--from-bucket", help="First fetch what the bucket has and the volumes have not.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Put a back-up in the place of the database. What was there is kept beside it, under a name with the time.

    The database as it was at a time: restore --base --until 2026-11-21T10:00:00Z

    In a new cluster, from what the lost one left in its bucket: restore --base --until end --from-bucket
    """
    if until:
        until = _checked(until, base=base)
    with target(overlay, context, timeout) as (to, rendering):
        if not yes:
            what = f"{back_up}, and its log until {until}" if until else back_up
            typer.confirm(f"Replace the database in {rendering.namespace} by {what}?", abort=True, err=True)
        if from_bucket:
            fetch(to.api, archive=bool(until), timeout_s=timeout, report=to.report)
        if base:
            said = restore_base(to.api, back_up, timeout_s=timeout, report=to.report, until=until)
        else:
            said = restore_database(to.api, back_up, timeout_s=timeout, report=to.report)
    for line in said:
        typer.echo(line)


def _checked(until: str, *, base: bool) -> str:
    name = "'--until'"
    if not base:
        raise typer.BadParameter("needs --base: a dump is of one moment, only files have a log", param_hint=name)
    try:
        return until_of(until, now=datetime.now(UTC))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=name) from error
