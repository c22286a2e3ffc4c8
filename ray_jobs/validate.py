r"""Job: find out which discovered strategies may be trusted, and give each the status that its evidence leads to.

It takes the strategies with status CANDIDATE or INSUFFICIENT, most promising first: the permutation of their whole
search, walk-forward, the parameters' neighbours, multiples of the costs, the false-discovery level among all requests,
and candles newer than the discovery that nobody has used. VALIDATED, REJECTED or INSUFFICIENT is stored with every
gate's outcome and all evidence. Ctrl-C keeps what has ended; the one in hand is gone on with by the next run.

For example:

All strategies of one symbol that wait, for ten minutes at most:

    python -m ray_jobs.validate --symbol SPX --time-budget 600

One strategy, by the beginning of its id, in this process without Ray, with all its evidence as JSON:

    python -m ray_jobs.validate 3fa9c1 --workers 0 --json --evidence

Every five minutes, as a job of the cluster:

    ray job submit -- python -m ray_jobs.validate --forever
"""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from alpharay.settings import SettingMissingError, Settings, settings
from ray_jobs.interruption import interruptions

if TYPE_CHECKING:
    from alpharay.store.strategies import StoredStrategy
    from alpharay.validation.validation import ValidationSettings
    from ray_jobs.strategy_validation import Ended

JOB_LOG_WIDTH = 150
LINE_SECONDS = 3.0

# \b keeps the examples' lines as they are.
HELP = re.sub(r"\n\n(?=    )", "\n\n\b\n", __doc__ or "")

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options asked for."""

    ids: tuple[str, ...]
    symbol: str | None
    timeframe: str | None
    limit: int | None
    time_budget_s: float | None
    workers: int | None
    settings: ValidationSettings


@app.command(help=HELP)
def main(
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids of strategies, or their beginnings; all that wait when left out.")
    ] = None,
    symbol: Annotated[str | None, typer.Option(help="Only SPX/USD, or SPX for the default quote.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Only this length of a candle: 1m, 1h, 1d …")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many strategies.")] = None,
    time_budget: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds after which no further validation begins.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Ray workers; 0 for this process; what suits when not given.")
    ] = None,
    permutations: Annotated[int, typer.Option(min=19, help="Searches of series without an edge, at least.")] = 199,
    most_permutations: Annotated[
        int, typer.Option(min=19, help="And at most, where many requests ask for a stricter level.")
    ] = 999,
    windows: Annotated[int, typer.Option(min=1, help="Walk-forward windows, each searched anew.")] = 6,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same evidence.")] = 0,
    forever: Annotated[bool, typer.Option("--forever", help="Look for waiting strategies again and again.")] = False,
    interval: Annotated[float, typer.Option(min=1.0, help="With --forever: seconds between two looks.")] = 300.0,
    evidence: Annotated[bool, typer.Option("--evidence", help="With --json: print all evidence.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcomes as JSON.")] = False,
) -> None:
    """Validate; see the module's text."""
    # Numba and SciPy take seconds to import, which `--help` need not wait for.
    from alpharay.market.symbol import resolve_symbol
    from alpharay.validation.validation import ValidationSettings
    from alpharay.validation.walk_forward import WalkForwardSettings

    try:
        current = settings()
        asked = Asked(
            ids=tuple(ids or ()),
            symbol=resolve_symbol(symbol, current.default_quote) if symbol else None,
            timeframe=timeframe,
            limit=limit,
            time_budget_s=time_budget,
            workers=workers,
            settings=ValidationSettings(
                permutations=permutations,
                most_permutations=max(most_permutations, permutations),
                walk_forward=WalkForwardSettings(windows=windows),
                seed=seed,
            ),
        )
        ended = validate_now(current, asked, quiet=as_json, every_s=interval if forever else None)
        if as_json:
            typer.echo(json.dumps([ended_json(item, evidence=evidence) for item in ended], indent=2))
    except (ValueError, LookupError, RuntimeError, SettingMissingError) as error:
        typer.echo(f"error: {error.args[0] if error.args else error}", err=True)
        raise typer.Exit(2) from error


def validate_now(current: Settings, asked: Asked, *, quiet: bool, every_s: float | None = None) -> list[Ended]:
    """Validate what waits, or the strategies asked for, and return how each ended; Ctrl-C returns what has ended.

    With `every_s` it looks again so many seconds after each look, until Ctrl-C.
    """
    from ray_jobs.lease_owner import owner_name
    from ray_jobs.market_discovery import discovery_pool, open_executor
    from ray_jobs.strategy_validation import InterruptedValidation, validate_waiting

    console = _console(error=quiet)
    ended: list[Ended] = []
    with discovery_pool(current) as pool, open_executor(asked.workers, current) as executor:
        try:
            # A search would take KeyboardInterrupt for its own end, and go on with a part.
            with interruptions(InterruptedValidation) as interrupted:
                progress = _Progress(console, interrupted)
                while True:
                    waiting = _wanted(pool, asked)
                    console.print(f"{len(waiting)} strategies to look at, {executor.workers} workers")
                    validate_waiting(
                        pool, executor, owner_name(), waiting, asked.settings,
                        limit=asked.limit, time_budget_s=asked.time_budget_s,
                        on_begin=progress.begin, on_progress=progress, on_end=lambda item: _told(console, ended, item),
                    )  # fmt: skip
                    if every_s is None:
                        break
                    ended.clear()
                    threading.Event().wait(every_s)
        except InterruptedValidation:
            console.print("[bold]Ctrl-C: keeping what has ended; the next run goes on with the one in hand.[/bold]")
    console.print(_table(ended))
    return ended


def ended_json(item: Ended, *, evidence: bool) -> dict[str, Any]:
    """Return how a validation ended as JSON values, with all evidence or with the gates alone."""
    gates = None if item.evidence is None else item.evidence["verdict"]["gates"]
    return {
        "strategy_id": item.stored.strategy_id,
        "strategy_name": item.stored.strategy_name,
        "symbol": item.stored.symbol,
        "timeframe": item.stored.timeframe,
        "validation_id": item.validation_id,
        "status": item.status,
        "text": item.text,
        "gates": gates,
        "seconds": round(item.seconds, 3),
        **({"evidence": item.evidence} if evidence else {}),
    }


def _wanted(pool: Any, asked: Asked) -> list[StoredStrategy]:
    from alpharay.store.validations import find_strategy
    from ray_jobs.strategy_validation import waiting_strategies

    if not asked.ids:
        return waiting_strategies(pool, symbol=asked.symbol, timeframe=asked.timeframe)
    with pool.connection() as connection:
        return [find_strategy(connection, beginning) for beginning in asked.ids]


def _told(console: Console, ended: list[Ended], item: Ended) -> None:
    ended.append(item)
    console.print(
        f"{item.stored.strategy_id[:12]} {item.stored.strategy_name} {item.stored.symbol} {item.stored.timeframe}: "
        f"{item.status} in {item.seconds:.1f} s. {item.text}",
        highlight=False,
        markup=False,
    )


def _table(ended: list[Ended]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("strategy", "market", "status", "p", "walk-forward", "neighbours", "costs", "unseen", "id"):
        table.add_column(heading, overflow="fold")
    for item in ended:
        gates = {} if item.evidence is None else {gate["name"]: gate for gate in item.evidence["verdict"]["gates"]}
        cells = [
            _cell(gates.get(name)) for name in ("permutation", "walk_forward", "neighbourhood", "cost_stress", "unseen")
        ]
        table.add_row(
            item.stored.strategy_name, f"{item.stored.symbol} {item.stored.timeframe}", item.status, *cells,
            item.stored.strategy_id[:12],
        )  # fmt: skip
    return table


def _cell(gate: dict[str, Any] | None) -> str:
    if gate is None or gate["outcome"] == "not_reached":
        return "-"
    if gate["value"] is None:
        return str(gate["outcome"])
    return f"{gate['value']:.2f} {gate['outcome']}"


class _Progress:
    """Says where a validation stands, a line every few seconds, and ends it where a Ctrl-C was dropped."""

    def __init__(self, console: Console, interrupted: threading.Event) -> None:
        self._console = console
        self._interrupted = interrupted
        self._name = ""
        self._told_at = 0.0

    def begin(self, stored: StoredStrategy) -> None:
        self._name = f"{stored.strategy_id[:12]} {stored.strategy_name} {stored.symbol} {stored.timeframe}"
        self._console.print(f"{self._name}: begins", highlight=False, markup=False)
        self._told_at = time.monotonic()

    def __call__(self, gate: str, done: int, of: int) -> None:
        from ray_jobs.strategy_validation import InterruptedValidation

        if self._interrupted.is_set():
            raise InterruptedValidation
        if time.monotonic() - self._told_at >= LINE_SECONDS:
            self._told_at = time.monotonic()
            self._console.print(f"{self._name}: {gate.replace('_', ' ')} {done}/{of}", highlight=False, markup=False)


def _console(*, error: bool) -> Console:
    """Return the console; beside JSON on standard output it writes to standard error."""
    console = Console(stderr=error)
    return console if console.is_terminal else Console(stderr=error, width=JOB_LOG_WIDTH)


if __name__ == "__main__":
    app()
