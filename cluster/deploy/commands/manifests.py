"""Commands about manifests: what they are, what is wrong with them, what they would change."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cluster.deploy import apply
from cluster.deploy.chart.files import NAME, chart_files
from cluster.deploy.chart.package import write_chart
from cluster.deploy.commands.session import DEV, FAILED, AsJson, Context, Overlay, failures_told, rendered, session
from cluster.deploy.lint.overlay import findings
from cluster.deploy.manifests import as_yaml

_STYLES = {"error": "red", "warning": "yellow"}


def template(overlay: Overlay = DEV) -> None:
    """Print the overlay's manifests as they would be applied. Needs no cluster."""
    with failures_told():
        typer.echo(as_yaml(rendered(overlay).manifests), nl=False)


def lint(overlay: Overlay = DEV, as_json: AsJson = False) -> None:
    """Say what is wrong with the overlay's manifests; exits with 1 on errors. Needs no cluster."""
    with failures_told():
        found = findings(rendered(overlay).manifests)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=2))
    else:
        for one in found:
            typer.secho(f"{one.level}: ", fg=_STYLES[one.level], nl=False)
            typer.echo(f"{one.where}: {one.text}")
        counts = Counter(one.level for one in found)
        typer.echo(f"{overlay}: {counts['error']} errors, {counts['warning']} warnings")
    if any(one.level == "error" for one in found):
        raise typer.Exit(FAILED)


def dry_run(overlay: Overlay = DEV, context: Context = None) -> None:
    """Have the API server check every object, as if applied, and keep nothing. The namespace must be there."""
    with session(overlay, context) as opened:
        lines = apply.dry_run(opened.kubectl, opened.rendering.manifests)
    for line in lines:
        typer.echo(line)
    typer.echo(f"{len(lines)} objects were taken")


def diff(overlay: Overlay = DEV, context: Context = None) -> None:
    """Show what applying the overlay would change; exits with 1 when anything. Values of Secrets are hidden."""
    with session(overlay, context) as opened:
        text = apply.differences(opened.kubectl, opened.rendering.manifests)
    typer.echo(text, nl=False)
    if text:
        raise typer.Exit(FAILED)
    typer.echo("the cluster holds what the overlay says", err=True)


def chart(
    overlay: Overlay = DEV,
    output: Annotated[Path, typer.Option(help="Folder to write to.")] = Path(".alpharay/chart"),
) -> None:
    """Write the overlay as a Helm chart, with values for images, replicas, resources, storage, domains."""
    version = importlib.metadata.version("alpharay")
    with failures_told():
        rendering = rendered(overlay)
    folder = output / overlay.name
    # What an earlier version brought and this one has not must not stay in the chart.
    shutil.rmtree(folder / NAME, ignore_errors=True)
    files = chart_files(rendering, version)
    archive = write_chart(files, folder, version)
    typer.echo(f"{archive}: {len(files)} files")
