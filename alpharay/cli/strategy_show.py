"""`alpharay strategies show`: everything that is stored of one strategy."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from alpharay.cli.database import database_connection
from alpharay.cli.errors import errors_told
from alpharay.cli.tables import figures_table

if TYPE_CHECKING:
    from alpharay.store.strategies import StoredStrategy
    from alpharay.store.strategy_evidence import StoredEvidence
    from alpharay.store.strategy_status import Transition
    from alpharay.store.validations import StoredValidation
    from alpharay.strategies.strategy import Strategy

RULE_NAMES = ("enter", "exit", "enter short", "exit short")


def show(
    strategy_id: Annotated[str, typer.Argument(metavar="ID", help="How the strategy's id begins.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as one JSON object.")] = False,
) -> None:
    """Show one discovered strategy: its rules, its figures, what each search said, its validations and its steps.

    Example: alpharay strategies show 3fa9c1
    """
    from alpharay.store.strategy_evidence import evidence_of
    from alpharay.store.strategy_status import transitions
    from alpharay.store.validations import find_strategy, validations_of
    from alpharay.strategies.codec import strategy_from_json

    with errors_told():
        with database_connection() as connection:
            stored = find_strategy(connection, strategy_id)
            evidence = evidence_of(connection, stored.strategy_id)
            validations = validations_of(connection, stored.strategy_id)
            steps = transitions(connection, stored.strategy_id)
        strategy = strategy_from_json(stored.strategy)
    if as_json:
        typer.echo(json.dumps(_json(stored, strategy, evidence, validations, steps), default=str))
    else:
        _show(Console(), stored, strategy, evidence, validations, steps)


def _json(
    stored: StoredStrategy,
    strategy: Strategy,
    evidence: list[StoredEvidence],
    validations: list[StoredValidation],
    steps: list[Transition],
) -> dict[str, Any]:
    # The whole evidence of a validation is large: `alpharay report` and `alpharay validate --evidence` have it.
    kept = ("validation_id", "status", "summary", "reasons", "error", "run_id", "started_at", "finished_at")
    return {
        **asdict(stored),
        "rules": _rules(strategy, stored.parameters),
        "evidence": [asdict(item) for item in evidence],
        "validations": [{name: getattr(item, name) for name in kept} for item in validations],
        "steps": [asdict(step) for step in steps],
    }


def _rules(strategy: Strategy, parameters: dict[str, float]) -> dict[str, str]:
    from alpharay.strategies.text import rule_text

    return {name: rule_text(rule, parameters) for name, rule in zip(RULE_NAMES, strategy.rules, strict=False)}


def _show(
    console: Console,
    stored: StoredStrategy,
    strategy: Strategy,
    evidence: list[StoredEvidence],
    validations: list[StoredValidation],
    steps: list[Transition],
) -> None:
    from alpharay.reports.account_sections import metric_rows
    from alpharay.reports.content import parameters_text
    from alpharay.reports.formats import day, number

    def line(name: str, value: str) -> None:
        console.print(Text.assemble((f"{name:>12}  ", "dim"), value), soft_wrap=True)

    console.print(Text(f"{stored.strategy_name} on {stored.symbol} {stored.timeframe}, {stored.status}", style="bold"))
    line("id", stored.strategy_id)
    line("in words", strategy.description or "no description")
    line("parameters", parameters_text(stored.parameters) or "none")
    for name, text in _rules(strategy, stored.parameters).items():
        line(name, text)
    line("window", f"{day(stored.start_time)} to {day(stored.end_time)}, searched until {day(stored.train_end_time)}")
    line("found", f"{stored.first_discovered_at:%Y-%m-%d %H:%M} UTC with {stored.objective} {stored.score:.3f}")
    columns = {"in sample": stored.in_sample, "out of sample": stored.out_of_sample}
    measured = {name: figures for name, figures in columns.items() if figures}
    console.print(figures_table(["", *measured], metric_rows(list(measured.values()))))
    rows = [
        [item.run_id, f"{day(item.start_time)} to {day(item.end_time)}", item.objective or "-", number(item.score, 3)]
        for item in evidence
    ]
    console.print(figures_table(["found by run", "window", "objective", "score"], rows))
    for item in validations:
        line(item.status.lower(), item.summary or item.error or "it runs now")
    for step in steps:
        moved = f"{step.changed_at:%Y-%m-%d %H:%M} {step.from_status} to {step.to_status} by {step.actor}"
        line("step", f"{moved}: {step.reason}")
    if not validations:
        line("next", f"alpharay validate {stored.strategy_id[:12]}")
    line("report", f"alpharay report {stored.strategy_id[:12]} --open")
