"""The `alpharay` command: noun, then verb."""

from __future__ import annotations

import typer

from alpharay.cli import (
    backtest,
    compare,
    dead_letters,
    demo,
    discover,
    doctor,
    evolve,
    kernels,
    limits,
    load_test,
    models,
    report,
    score,
    signals,
    stack,
    strategies,
    validate,
)

app = typer.Typer(
    name="alpharay",
    help="Ingest candles, discover trading strategies and serve signals, on a Ray cluster.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    # A traceback with local variables would show passwords.
    pretty_exceptions_show_locals=False,
)
app.add_typer(stack.app, name="stack")
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
app.command("compile")(kernels.compile_kernels)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(strategies.app, name="strategies")
app.add_typer(signals.app, name="signals")
app.add_typer(limits.app, name="limits")
app.add_typer(models.app, name="models")
app.command("discover", help=discover.HELP)(discover.discover)
app.command("evolve", help=evolve.HELP)(evolve.evolve)
app.command("validate", help=validate.HELP)(validate.validate)
app.command("score", help=score.HELP)(score.score)
app.command("backtest")(backtest.backtest)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("load-test")(load_test.load_test)


if __name__ == "__main__":
    app()
