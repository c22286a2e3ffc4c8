"""What every command begins with: the overlay, the cluster, and how failures are told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from alpharay.cli.progress import PartProgress
from cluster.deploy.api import Api, connected
from cluster.deploy.errors import DeployError
from cluster.deploy.kubectl import Kubectl
from cluster.deploy.manifests import Rendering, render
from cluster.deploy.rollout import Target
from cluster.deploy.settings_stamp import stamp

FAILED, CANNOT_RUN = 1, 2

Overlay = Annotated[Path, typer.Option(help="Folder of the overlay that is meant.")]
Context = Annotated[str | None, typer.Option(help="Context of the kubeconfig; the current one when left out.")]
Timeout = Annotated[float, typer.Option(min=1.0, max=7200.0, help="Seconds that each wait may take.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, and no progress.")]
DEV = Path("cluster/overlays/dev")
PATIENCE_S = 900.0


@dataclass(frozen=True)
class Session:
    """An overlay, and the cluster that it is for."""

    kubectl: Kubectl
    api: Api
    rendering: Rendering


def rendered(overlay: Path, context: str | None = None) -> Rendering:
    """Return what the overlay says, lasting pods with the digest of their settings."""
    rendering = render(Kubectl(context), overlay)
    return replace(rendering, manifests=stamp(rendering.manifests))


@contextmanager
def session(overlay: Path, context: str | None) -> Iterator[Session]:
    """Render the overlay and connect to the cluster; failures end the command."""
    with failures_told():
        rendering = rendered(overlay, context)
        with connected(rendering.namespace, context) as api:
            yield Session(Kubectl(context), api, rendering)


@contextmanager
def target(overlay: Path, context: str | None, timeout_s: float) -> Iterator[tuple[Target, Rendering]]:
    """As `session`, with progress of what is changed."""
    with session(overlay, context) as opened, PartProgress() as progress:
        yield Target(opened.kubectl, opened.api, timeout_s, progress), opened.rendering


@contextmanager
def failures_told() -> Iterator[None]:
    """Turn a DeployError into what failed, what was seen, and what to look at next."""
    try:
        yield
    except DeployError as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        for line in error.evidence:
            typer.echo(f"  {line}", err=True)
        for step in error.next_steps:
            typer.secho(f"look at: {step}", fg="cyan", err=True)
        raise typer.Exit(FAILED) from error
