"""What `alpharay backtest` was asked to backtest, and on which candles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alpharay.cli.strategy_source import is_stored_id, strategy_of

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.rows import TupleRow

    from alpharay.backtest.costs import Costs
    from alpharay.backtest.frictions import Frictions
    from alpharay.market.candles import Candles
    from alpharay.strategies.strategy import Strategy


@dataclass(frozen=True, slots=True)
class Source:
    """Which candles: a file, or a market of the database; with neither, what the strategy was found on or the sample.

    `days` leaves only the newest.
    """

    file: Path | None
    symbol: str | None
    timeframe: str
    exchange: str | None
    days: int | None

    def __post_init__(self) -> None:
        if self.file is not None and self.symbol is not None:
            raise ValueError(f"give either --candles or --symbol, was {self.file} and {self.symbol}")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is backtested, on what; `strategy_id` and `status` are empty where the parameters are not the stored."""

    strategy: Strategy
    values: dict[str, float]
    candles: Candles
    costs: Costs
    frictions: Frictions | None = None
    strategy_id: str = ""
    status: str = ""


def backtest_subject(name: str, parameters: str | None, source: Source) -> Subject:
    """Return what `name` means, with what `parameters` says changed.

    Raises ValueError or LookupError for what is unknown, cannot be, or has fewer than two candles.
    """
    from alpharay.backtest.costs import Costs
    from alpharay.cli.database import database_connection
    from alpharay.market.files import read_candles
    from alpharay.market.sample import sample_candles
    from alpharay.strategies.named_parameters import named_parameters

    if is_stored_id(name):
        with database_connection() as connection:
            return _checked(_stored(connection, name, parameters, source))
    strategy = strategy_of(name)
    values = named_parameters(strategy, parameters)
    if source.symbol is not None:
        with database_connection() as connection:
            candles = _stored_candles(connection, source.symbol, source)
    else:
        candles = _newest(sample_candles()[0] if source.file is None else read_candles(source.file), source.days)
    return _checked(Subject(strategy, values, candles, Costs()))


def _stored(connection: Connection[TupleRow], name: str, parameters: str | None, source: Source) -> Subject:
    from alpharay.backtest.costs import Costs
    from alpharay.market.files import read_candles
    from alpharay.store.report_content import strategy_content
    from alpharay.store.validations import find_strategy
    from alpharay.strategies.codec import strategy_from_json
    from alpharay.strategies.named_parameters import named_parameters

    stored = find_strategy(connection, name)
    strategy = strategy_from_json(stored.strategy)
    values = named_parameters(strategy, parameters, stored.parameters)
    costs, frictions = Costs(), None
    if source.symbol is not None:
        candles = _stored_candles(connection, source.symbol, source)
    elif source.file is not None:
        candles = _newest(read_candles(source.file), source.days)
    else:
        content = strategy_content(connection, stored)
        candles, costs, frictions = _newest(content.parts.candles, source.days), content.costs, content.frictions
    if values != stored.parameters:
        return Subject(strategy, values, candles, costs, frictions)
    return Subject(strategy, values, candles, costs, frictions, stored.strategy_id, stored.status)


def _stored_candles(connection: Connection[TupleRow], symbol: str, source: Source) -> Candles:
    from alpharay.market.symbol import resolve_symbol
    from alpharay.settings import settings
    from ray_jobs.market_discovery import load_window
    from ray_jobs.stored_market import find_market

    market = find_market(
        connection, resolve_symbol(symbol, settings().default_quote), source.timeframe, source.exchange
    )
    return load_window(connection, market, source.days)


def _newest(candles: Candles, days: int | None) -> Candles:
    from alpharay.market.timeframe import DAY_MS

    if days is None or len(candles) == 0:
        return candles
    first = int(candles.open_time.searchsorted(candles.open_time[-1] - days * DAY_MS, side="right"))
    return candles.slice(first, len(candles))


def _checked(subject: Subject) -> Subject:
    if len(subject.candles) < 2:
        raise ValueError(
            f"a backtest needs at least 2 candles, one to decide on and one to fill at, was {len(subject.candles)}"
        )
    return subject
