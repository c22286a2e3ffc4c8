"""A real Kubernetes node on this machine, for the tests and for trying manifests (root, Linux, Debian's packages).

Examples
--------
    python -m tests.kubernetes.node up
    python -m tests.kubernetes.node kubectl get pods -A
    python -m tests.kubernetes.node down
"""

from __future__ import annotations

import os

import typer

from tests.kubernetes.node import node
from tests.kubernetes.node.folders import KUBECONFIG
from tests.kubernetes.node.network import inside

app = typer.Typer(help=__doc__, add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@app.command()
def up() -> None:
    """Start the node; the first time its programs and images are built, which takes twenty minutes."""
    try:
        node.up(typer.echo)
    except node.NodeNotPossibleError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


@app.command()
def down() -> None:
    """End the node and remove what it left."""
    node.down()


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def kubectl(context: typer.Context) -> None:
    """Run kubectl against the node."""
    command = inside(["kubectl", f"--kubeconfig={KUBECONFIG}", *context.args])
    os.execvp(command[0], command)


if __name__ == "__main__":
    app()
