r"""Job: fit the risk models of stored markets and store their states, which the application `risk` forecasts from.

For every market with candles: a GARCH(1,1) volatility and the change points of its returns; for pairs: the hedge ratio
of the first against the second. A pair that was named once is fitted again in each round. The same candles again change
nothing.

For example:

Every market, once:

    python -m ray_jobs.calibrate

One market and a pair, as JSON, without storing it:

    python -m ray_jobs.calibrate --symbol BTC/USD --pair BTC/USD,ETH/USD --dry-run --json

Every hour, as a job of the cluster:

    ray job submit -- python -m ray_jobs.calibrate --forever --minutes 60
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from alpharay.settings import SettingMissingError, settings

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.rows import TupleRow

    from alpharay.risk.calibration import CalibrationSettings, PriceHistory
    from alpharay.store.candle_rows import Market
    from alpharay.store.database import DatabasePool
    from alpharay.store.risk_models import RiskModel

JOB_LOG_WIDTH = 150

# \b keeps the examples' lines as they are.
HELP = re.sub(r"\n\n(?=    )", "\n\n\b\n", __doc__ or "")

app = typer.Typer(add_completion=False, rich_markup_mode=None)
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What to calibrate: all markets, or those of some symbols; pairs (y, x) beside the stored ones."""

    symbols: frozenset[str]
    timeframe: str | None
    exchange: str | None
    pairs: tuple[tuple[str, str], ...]

    def takes(self, market: Market) -> bool:
        """Tell whether a stored market is meant."""
        return (
            (not self.symbols or market.symbol in self.symbols)
            and self.timeframe in (None, market.timeframe)
            and self.exchange in (None, market.exchange)
        )


@dataclass(frozen=True, slots=True)
class Calibrated:
    """One fitted model: whether it was new, or why there is none."""

    name: str
    model: RiskModel | None
    stored: bool = False
    problem: str | None = None


@app.command(help=HELP)
def main(
    symbol: Annotated[list[str] | None, typer.Option(help="Only BTC/USD, or BTC for the default quote.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Only this length of a candle: 1m, 1h, 1d …")] = None,
    exchange: Annotated[str | None, typer.Option(help="Only this exchange.")] = None,
    pair: Annotated[list[str] | None, typer.Option(help="Fit the hedge of Y by X, as Y,X: BTC/USD,ETH/USD.")] = None,
    candles: Annotated[int, typer.Option(min=3, help="The newest candles that a fit looks at.")] = 2_000,
    model: Annotated[str, typer.Option(help="garch, or gjr: falls count more.")] = "garch",
    distribution: Annotated[str, typer.Option(help="Of the innovations: normal or t.")] = "normal",
    forever: Annotated[bool, typer.Option("--forever", help="Calibrate again and again.")] = False,
    minutes: Annotated[float, typer.Option(min=0.01, help="With --forever: minutes between two rounds.")] = 60.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Fit, store nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the fits as JSON.")] = False,
) -> None:
    """Calibrate; see the module's text."""
    # Numba, SciPy and arch take seconds to import, which `--help` need not wait for.
    from alpharay.market.symbol import resolve_symbol
    from alpharay.risk.calibration import CalibrationSettings
    from alpharay.store.database import is_connection_loss
    from ray_jobs.market_discovery import discovery_pool

    try:
        current = settings()
        chosen = CalibrationSettings(
            candles=candles,
            model=_one_of("model", model, "garch", "gjr"),
            distribution=_one_of("distribution", distribution, "normal", "t"),
        )
        asked = Asked(
            frozenset(resolve_symbol(one, current.default_quote) for one in symbol or ()),
            timeframe,
            exchange,
            tuple(_pair(text, current.default_quote) for text in pair or ()),
        )
        with discovery_pool(current) as pool:
            while True:
                try:
                    _round(pool, asked, chosen, dry_run=dry_run, as_json=as_json)
                except Exception as error:
                    if not forever or not is_connection_loss(error):
                        raise
                    log.warning("calibrate.round_given_up", error=str(error), next_in_minutes=minutes)
                if not forever:
                    return
                threading.Event().wait(minutes * 60.0)
    except KeyboardInterrupt:
        typer.echo("Ctrl-C: what was fitted is stored", err=True)
    except (ValueError, LookupError, RuntimeError, SettingMissingError) as error:
        typer.echo(f"error: {error.args[0] if error.args else error}", err=True)
        raise typer.Exit(2) from error


def _round(pool: DatabasePool, asked: Asked, chosen: CalibrationSettings, *, dry_run: bool, as_json: bool) -> None:
    """Calibrate everything once, and show it."""
    console = _console(error=as_json)
    with pool.connection() as connection:
        markets, pairs = wanted(connection, asked)
    if not markets and not pairs:
        raise LookupError(f"no candles of {_told(asked)} are stored: run `python -m ray_jobs.ingest` first")
    done: list[Calibrated] = []
    for market in track(markets, "markets", console=console, transient=True):
        done += calibrate_market(pool, market, chosen, dry_run=dry_run)
    for y, x in track(pairs, "pairs", console=console, transient=True):
        done.append(calibrate_pair(pool, y, x, chosen, dry_run=dry_run))
    if as_json:
        typer.echo(json.dumps([_json(one) for one in done], indent=2))
        return
    console.print(_table(done))
    for one in done:
        if one.problem is not None:
            console.print(f"{one.name}: left out, {one.problem}", highlight=False, markup=False)


def wanted(connection: Connection[TupleRow], asked: Asked) -> tuple[list[Market], list[tuple[Market, Market]]]:
    """Return the stored markets that are meant, and the pairs: those named and those fitted before.

    A pair that was named with a market that has no candles raises LookupError.
    """
    from alpharay.store.candle_rows import Market
    from alpharay.store.changes import list_markets
    from alpharay.store.risk_models import model_times

    stored = list_markets(connection)
    markets = [market for market in stored if asked.takes(market)]
    pairs = {
        (Market(key.exchange, key.symbol, key.timeframe), Market(key.exchange, key.against, key.timeframe))
        for key in model_times(connection)
        if key.kind == "hedge_ratio"
    }
    pairs = {(y, x) for y, x in pairs if asked.takes(y) and y in stored and x in stored}
    for first, second in asked.pairs:
        of_pair = {
            (y, y._replace(symbol=second))
            for y in stored
            if y.symbol == first
            and asked.timeframe in (None, y.timeframe)
            and asked.exchange in (None, y.exchange)
            and y._replace(symbol=second) in stored
        }
        if not of_pair:
            raise LookupError(
                f"no candles of {first} and {second} with the same exchange and time frame are stored; "
                f"stored are {', '.join(sorted({market.symbol for market in stored})) or 'none'}"
            )
        pairs |= of_pair
    return markets, sorted(pairs)


def calibrate_market(
    pool: DatabasePool, market: Market, chosen: CalibrationSettings, *, dry_run: bool = False
) -> list[Calibrated]:
    """Fit a market's models and store them."""
    from alpharay.risk.calibration import fit_market
    from alpharay.store.risk_models import ModelKey, RiskModel

    try:
        history = _history(pool, market, chosen)
        fits = fit_market(history, market.timeframe, chosen)
    except ValueError as error:
        return [Calibrated(f"{market.symbol} {market.timeframe}", None, problem=str(error))]
    models = [
        RiskModel(
            key=ModelKey(kind, market.exchange, market.symbol, "", market.timeframe),
            state=fit.state,
            decided_at=int(history.open_time[-1]),
            diagnostics=fit.diagnostics,
        )
        for kind, fit in fits.items()
    ]
    return [_stored(pool, model, dry_run=dry_run) for model in models]


def calibrate_pair(
    pool: DatabasePool, y: Market, x: Market, chosen: CalibrationSettings, *, dry_run: bool = False
) -> Calibrated:
    """Fit a pair's hedge ratio and store it."""
    from alpharay.risk.calibration import fit_pair, pair_history
    from alpharay.store.risk_models import ModelKey, RiskModel

    try:
        pair = pair_history(_history(pool, y, chosen), _history(pool, x, chosen))
        fit = fit_pair(pair)
    except ValueError as error:
        return Calibrated(f"{y.symbol} by {x.symbol} {y.timeframe}", None, problem=str(error))
    model = RiskModel(
        key=ModelKey("hedge_ratio", y.exchange, y.symbol, x.symbol, y.timeframe),
        state=fit.state,
        decided_at=int(pair.open_time[-1]),
        diagnostics=fit.diagnostics,
    )
    return _stored(pool, model, dry_run=dry_run)


def _history(pool: DatabasePool, market: Market, chosen: CalibrationSettings) -> PriceHistory:
    from alpharay.risk.calibration import price_history
    from alpharay.store.candles import load_newest_candles

    with pool.connection() as connection:
        return price_history(load_newest_candles(connection, market, chosen.candles))


def _stored(pool: DatabasePool, model: RiskModel, *, dry_run: bool) -> Calibrated:
    from alpharay.store.database import in_transaction
    from alpharay.store.risk_models import store_model

    key = model.key
    name = f"{key.symbol}{f' by {key.against}' if key.against else ''} {key.timeframe}"
    if dry_run:
        return Calibrated(name, model)
    return Calibrated(name, model, stored=in_transaction(pool, partial(store_model, model=model)))


def _pair(text: str, default_quote: str) -> tuple[str, str]:
    from alpharay.market.symbol import resolve_symbol

    y, comma, x = text.partition(",")
    if not comma:
        raise ValueError(f"pair must be two symbols, such as BTC/USD,ETH/USD, was {text!r}")
    pair = resolve_symbol(y, default_quote), resolve_symbol(x, default_quote)
    if pair[0] == pair[1]:
        raise ValueError(f"pair must be two different symbols, was {text!r}")
    return pair


def _one_of(name: str, value: str, *known: str) -> Any:
    if value not in known:
        raise ValueError(f"{name} must be {' or '.join(known)}, was {value!r}")
    return value


def _told(asked: Asked) -> str:
    parts = [", ".join(sorted(asked.symbols)) or "any market", asked.timeframe, asked.exchange]
    return " ".join(part for part in parts if part)


def _json(one: Calibrated) -> dict[str, Any]:
    if one.model is None:
        return {"name": one.name, "problem": one.problem}
    return {
        **one.model.key._asdict(),
        "decided_at": one.model.decided_at,
        "stored": one.stored,
        "diagnostics": one.model.diagnostics,
    }


def _table(done: list[Calibrated]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("market", "model", "stored", "diagnostics"):
        table.add_column(heading, overflow="fold")
    for one in done:
        if one.model is None:
            continue
        told = ", ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in one.model.diagnostics.items()
            if value is not None
        )
        table.add_row(one.name, one.model.key.kind, "yes" if one.stored else "no", told)
    return table


def _console(*, error: bool) -> Console:
    """Return the console; beside JSON on standard output it writes to standard error."""
    console = Console(stderr=error)
    return console if console.is_terminal else Console(stderr=error, width=JOB_LOG_WIDTH)


if __name__ == "__main__":
    app()
