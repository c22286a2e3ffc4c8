r"""Job: train the signal models of stored markets, and store them in the registry.

For every market with candles: features at four time frames, the direction of the moves that pay a trade as label,
purged and embargoed cross-validation, gradient-boosted trees, calibrated probabilities. A model whose log loss out of
fold does not beat the base rate by more than luck explains is stored as REJECTED and never speaks; others are CANDIDATE
until `alpharay models activate`, or at once with --activate. The same candles and settings again are not trained again.
Ctrl-C keeps what is stored.

For example:

Every market; what passes speaks at once:

    python -m ray_jobs.train --activate

One market, in this process without Ray, as JSON, without storing it:

    python -m ray_jobs.train --symbol BTC/USD --timeframe 1h --horizon 6 --workers 0 --dry-run --json

On the cluster:

    ray job submit -- python -m ray_jobs.train --activate
"""

from __future__ import annotations

import json
import re
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from alpharay.settings import SettingMissingError, Settings, settings

if TYPE_CHECKING:
    from alpharay.store.candle_rows import Market
    from alpharay.store.database import DatabasePool
    from ray_jobs.market_training import MarketTrained, Trainer

JOB_LOG_WIDTH = 150

# \b keeps the examples' lines as they are.
HELP = re.sub(r"\n\n(?=    )", "\n\n\b\n", __doc__ or "")

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(help=HELP)
def main(
    symbol: Annotated[list[str] | None, typer.Option(help="Only BTC/USD, or BTC for the default quote.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Only this length of a candle: 1m, 1h, 1d …")] = None,
    exchange: Annotated[str | None, typer.Option(help="Only this exchange.")] = None,
    candles: Annotated[int, typer.Option(min=1_000, help="The newest candles that a model learns from.")] = 20_000,
    horizon: Annotated[int, typer.Option(min=1, help="Bars that the foretold trade lasts.")] = 12,
    fee: Annotated[float, typer.Option(min=0.0, help="Fee of each side: fraction of the traded value.")] = 0.001,
    slippage: Annotated[float, typer.Option(min=0.0, help="Slippage of each side: fraction of the price.")] = 0.0002,
    folds: Annotated[int, typer.Option(min=2, help="Stretches of the cross-validation.")] = 5,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.9999, help="Of the gate's bound.")] = 0.99,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
    activate: Annotated[bool, typer.Option("--activate", help="What the gate lets pass speaks at once.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Ray tasks at a time; 0 for this process; what suits when not given.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Train, store nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the models' evidence as JSON.")] = False,
) -> None:
    """Train; see the module's text."""
    # Numba and SciPy take seconds to import, which `--help` need not wait for.
    from alpharay.market.symbol import resolve_symbol
    from alpharay.models.signal_model import SignalModelSettings
    from ray_jobs.market_discovery import discovery_pool
    from ray_jobs.market_training import train_markets

    console = _console(error=as_json)
    done: list[MarketTrained] = []
    try:
        current = settings()
        chosen = SignalModelSettings(
            horizon=horizon, fee=fee, slippage=slippage, folds=folds, confidence=confidence, seed=seed
        )
        symbols = frozenset(resolve_symbol(one, current.default_quote) for one in symbol or ())
        with discovery_pool(current) as pool:
            markets = _markets(pool, symbols, timeframe, exchange)
            console.print(f"{len(markets)} markets to train")
            try:
                trained = train_markets(
                    pool, markets, chosen, _trainer(workers, current),
                    candles=candles, activate=activate, dry_run=dry_run,
                )  # fmt: skip
                # Closed on the way out, so that tasks which still run are cancelled.
                with closing(trained):
                    for one in trained:
                        done.append(one)
                        told = f"{len(done)}/{len(markets)} {_told(one)}"
                        console.print(told, highlight=False, markup=False)
            except KeyboardInterrupt:
                console.print("Ctrl-C: what was trained is stored; the same command goes on with the others")
        if as_json:
            typer.echo(json.dumps([_json(one) for one in done], indent=2))
        else:
            console.print(_table(done))
    except (ValueError, LookupError, RuntimeError, TimeoutError, SettingMissingError) as error:
        typer.echo(f"error: {error.args[0] if error.args else error}", err=True)
        raise typer.Exit(2) from error


def _markets(pool: DatabasePool, symbols: frozenset[str], timeframe: str | None, exchange: str | None) -> list[Market]:
    """Return the stored markets that are meant; raises LookupError when there are none."""
    from alpharay.store.changes import list_markets

    with pool.connection() as connection:
        stored = list_markets(connection)
    found = [
        market
        for market in stored
        if (not symbols or market.symbol in symbols)
        and timeframe in (None, market.timeframe)
        and exchange in (None, market.exchange)
    ]
    if not found:
        asked = " ".join(part for part in (", ".join(sorted(symbols)) or "any market", timeframe, exchange) if part)
        raise LookupError(f"no candles of {asked} are stored: run `python -m ray_jobs.ingest` first")
    return found


def _trainer(workers: int | None, current: Settings) -> Trainer:
    from ray_jobs.market_training import train_one_by_one

    if workers == 0:
        return train_one_by_one
    # Ray takes a second to import, which a training in this process need not wait for.
    from ray_jobs.training_tasks import RayTrainer

    return RayTrainer(workers, current)


def _status(one: MarketTrained) -> str:
    if one.model is not None:
        return one.model.status
    if one.trained is None:
        return "LEFT OUT"
    return "WOULD PASS" if one.trained.card.evidence.promoted else "WOULD BE REJECTED"


def _told(one: MarketTrained) -> str:
    name = f"{one.market.symbol} {one.market.timeframe}"
    if one.problem is not None:
        return f"{name}: left out, {one.problem}"
    how = "known before" if one.trained is None else f"{one.seconds:.1f} s"
    return f"{name}: {_status(one)}, {how}"


def _json(one: MarketTrained) -> dict[str, Any]:
    return {
        **one.market._asdict(),
        "model_id": one.model_id,
        "status": _status(one),
        "new": one.trained is not None and one.model is not None,
        "activated": one.activated,
        "seconds": round(one.seconds, 3),
        "problem": one.problem,
        "evidence": _evidence(one),
    }


def _evidence(one: MarketTrained) -> dict[str, Any] | None:
    if one.model is not None:
        return dict(one.model.metrics)
    return None if one.trained is None else asdict(one.trained.card.evidence)


def _table(done: list[MarketTrained]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("market", "status", "log loss", "base rate's", "verdict", "id"):
        table.add_column(heading, overflow="fold")
    for one in done:
        figures = _evidence(one)
        if figures is not None:
            table.add_row(
                f"{one.market.symbol} {one.market.timeframe}", _status(one), f"{figures['log_loss']:.4f}",
                f"{figures['base_log_loss']:.4f}", figures["reason"], one.model_id[:12],
            )  # fmt: skip
    return table


def _console(*, error: bool) -> Console:
    """Return the console; beside JSON on standard output it writes to standard error."""
    console = Console(stderr=error)
    return console if console.is_terminal else Console(stderr=error, width=JOB_LOG_WIDTH)


if __name__ == "__main__":
    app()
