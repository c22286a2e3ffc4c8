"""Commands that change a cluster: in steps, as a whole, back again, and away."""

from __future__ import annotations

from typing import Annotated

import typer

from cluster.deploy import removal, rollout
from cluster.deploy import scale_down as brake
from cluster.deploy.commands.session import DEV, PATIENCE_S, Context, Overlay, Timeout, target
from cluster.deploy.prerequisites import require


def infrastructure(overlay: Overlay = DEV, context: Context = None, timeout: Timeout = PATIENCE_S) -> None:
    """Bring up settings, brokers, databases; migrate schema and topics."""
    with target(overlay, context, timeout) as (to, rendering):
        require(to.api, rendering.manifests)
        rollout.infrastructure(to, rendering.manifests)


def applications(overlay: Overlay = DEV, context: Context = None, timeout: Timeout = PATIENCE_S) -> None:
    """Bring up Ray, the Serve applications and the schedules, on an infrastructure that is there."""
    with target(overlay, context, timeout) as (to, rendering):
        require(to.api, rendering.manifests)
        rollout.applications(to, rendering.manifests)


def networking(overlay: Overlay = DEV, context: Context = None, timeout: Timeout = PATIENCE_S) -> None:
    """Apply the network policies and the ways in from outside."""
    with target(overlay, context, timeout) as (to, rendering):
        require(to.api, rendering.manifests)
        rollout.networking(to, rendering.manifests)


def install(overlay: Overlay = DEV, context: Context = None, timeout: Timeout = PATIENCE_S) -> None:
    """Bring everything up: infrastructure, migration, applications, networking. Goes on where it stopped."""
    with target(overlay, context, timeout) as (to, rendering):
        revision = rollout.install(to, rendering)
    typer.echo(
        f"revision {revision.number} of {rendering.overlay} is deployed; look at it: python -m cluster.deploy status"
    )


def upgrade(overlay: Overlay = DEV, context: Context = None, timeout: Timeout = PATIENCE_S) -> None:
    """Bring what runs to what the overlay says, without an interruption.

    Schema and topics first; then brokers one by one; then Ray, by a second cluster that takes over when it serves.
    """
    with target(overlay, context, timeout) as (to, rendering):
        revision = rollout.upgrade(to, rendering)
    typer.echo(
        f"revision {revision.number} of {rendering.overlay} is deployed; back: python -m cluster.deploy rollback"
    )


def rollback(
    to: Annotated[int | None, typer.Option(help="Revision to return to; the last good one when left out.")] = None,
    overlay: Overlay = DEV,
    context: Context = None,
    timeout: Timeout = PATIENCE_S,
) -> None:
    """Return to the manifests of an earlier revision. Schema, data and Secrets stay as they are."""
    with target(overlay, context, timeout) as (where, _):
        revision = rollout.rollback(where, to)
    typer.echo(f"revision {revision.number} is deployed")


def delete(
    overlay: Overlay = DEV,
    context: Context = None,
    timeout: Timeout = PATIENCE_S,
    data: Annotated[bool, typer.Option("--data", help="Delete volumes, Secrets, history and namespace too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove everything that the overlay brought; the data stays, unless --data is given."""
    with target(overlay, context, timeout) as (from_, rendering):
        what = "everything and its DATA" if data else "everything but its data"
        if not yes:
            typer.confirm(f"Delete {what} in namespace {rendering.namespace}?", abort=True, err=True)
        removal.delete(from_, rendering, data=data)


def scale_down(
    overlay: Overlay = DEV,
    context: Context = None,
    undo: Annotated[bool, typer.Option("--undo", help="Let everything go on.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Emergency: suspend schedules and work, stop executors; answers, data and back-ups stay.

    It is no kill switch: halt trading first (docs/operations.md).
    """
    with target(overlay, context, PATIENCE_S) as (to, rendering):
        if not yes and not undo:
            typer.confirm(f"Stop all work in namespace {rendering.namespace}?", abort=True, err=True)
        (brake.scale_up if undo else brake.scale_down)(to, rendering.manifests)
