"""`python -m cluster.deploy`: what operators do with a cluster."""

from __future__ import annotations

import typer

from cluster.deploy.commands import data, look, manifests, rollouts, trials

app = typer.Typer(
    name="python -m cluster.deploy",
    help="Bring AlphaRay to a Kubernetes cluster, look at it, change it, take it away. Every command may be repeated.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    # A traceback with local variables would show passwords.
    pretty_exceptions_show_locals=False,
)
for command in (
    rollouts.infrastructure,
    rollouts.applications,
    rollouts.networking,
    rollouts.install,
    rollouts.upgrade,
    rollouts.rollback,
    look.status,
    look.check,
    look.access,
    manifests.lint,
    manifests.template,
    manifests.dry_run,
    manifests.diff,
    manifests.chart,
    trials.load_test,
    data.backup,
    data.restore,
    rollouts.scale_down,
    rollouts.delete,
):
    app.command(command.__name__.replace("_", "-"))(command)
app.command("test")(trials.smoke)
