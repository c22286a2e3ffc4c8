"""Strategies from one installation to another: what a file holds of them, and what is believed of it.

Rules are checked by reading them, identities by computing them again. Figures are what the file says: an imported
strategy is a CANDIDATE, whatever it was elsewhere, and validation here decides what it is worth.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from alpharay.bus.messages import DiscoveredStrategy
from alpharay.market.timeframe import timeframe_ms
from alpharay.store.strategies import StoredStrategy, store_strategy
from alpharay.store.validations import find_strategy
from alpharay.strategies.codec import strategy_from_json, strategy_to_json
from alpharay.strategies.loading import is_strategy_name
from alpharay.strategies.strategy import strategy_id

FORMAT = "alpharay-strategies"
VERSION = 1

_COLUMNS = ", ".join(StoredStrategy.__dataclass_fields__)


class ExportedStrategy(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy in a file; what else an entry holds (its status elsewhere, when it was found) is not read."""

    strategy_id: str
    exchange: str
    symbol: str
    timeframe: str
    strategy: dict[str, Any]
    parameters: dict[str, float]
    score: float
    in_sample: dict[str, float | None]
    out_of_sample: dict[str, float | None]
    start_time: int
    end_time: int
    train_end_time: int
    objective: str | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """The ids of an import's strategies."""

    new: tuple[str, ...]
    known: tuple[str, ...]
    """Stored before; nothing of them was changed."""


def chosen_strategies(
    connection: Connection[TupleRow], beginnings: Sequence[str] = (), statuses: Collection[str] = ()
) -> list[StoredStrategy]:
    """Return the strategies whose ids begin so, or that have these statuses, or all, best score first.

    Raises LookupError when a beginning is nobody's or of several.
    """
    if beginnings:
        return [find_strategy(connection, beginning) for beginning in beginnings]
    with connection.cursor(row_factory=class_row(StoredStrategy)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM strategies WHERE %(all)s OR status = ANY(%(statuses)s) "
            "ORDER BY score DESC, strategy_id",
            {"all": not statuses, "statuses": list(statuses)},
        ).fetchall()


def strategies_file(stored: Sequence[StoredStrategy]) -> bytes:
    """Return the strategies as the content of a JSON file."""
    content = {"format": FORMAT, "version": VERSION, "strategies": [asdict(item) for item in stored]}
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


def strategies_of_file(content: bytes) -> list[ExportedStrategy]:
    """Return the strategies in a file's content; raises ValueError naming the entry and what is wrong with it."""
    try:
        file = msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        raise ValueError(f"the file must be JSON as `alpharay strategies export` writes it: {error}") from error
    if not isinstance(file, dict) or file.get("format") != FORMAT or not isinstance(file.get("strategies"), list):
        raise ValueError(f"the file must have the format {FORMAT!r}, as `alpharay strategies export` writes it")
    if file.get("version") != VERSION:
        raise ValueError(f"version of the file must be {VERSION}, was {file.get('version')!r}: update AlphaRay")
    return [_checked(place, entry) for place, entry in enumerate(file["strategies"], 1)]


def import_strategies(connection: Connection[TupleRow], strategies: Sequence[ExportedStrategy]) -> Imported:
    """Store the strategies that are not stored yet, as candidates, in the connection's transaction."""
    ids = [item.strategy_id for item in strategies]
    rows = connection.execute("SELECT strategy_id FROM strategies WHERE strategy_id = ANY(%s)", (ids,)).fetchall()
    known = {row[0] for row in rows}
    new = {item.strategy_id: item for item in strategies if item.strategy_id not in known}
    for item in new.values():
        store_strategy(connection, _message(item))
    return Imported(tuple(new), tuple(sorted(known)))


def _checked(place: int, entry: object) -> ExportedStrategy:
    try:
        return _consistent(msgspec.convert(entry, ExportedStrategy))
    except (ValueError, LookupError) as error:
        name = entry.get("strategy_id") if isinstance(entry, Mapping) else None
        reason = error.args[0] if error.args else error
        raise ValueError(f"strategy {place} of the file ({name or 'without an id'}): {reason}") from error


def _consistent(item: ExportedStrategy) -> ExportedStrategy:
    timeframe_ms(item.timeframe)
    strategy = strategy_from_json(item.strategy)
    if not is_strategy_name(strategy.name):
        raise ValueError(f"a strategy's name must be capitals, digits and _, at most 64, was {strategy.name!r}")
    strategy.check(item.parameters)
    # Written anew: what the codec does not read has no place in the table.
    expression = strategy_to_json(strategy)
    identity = strategy_id(expression, item.parameters, item.symbol, item.timeframe)
    if identity != item.strategy_id:
        raise ValueError(f"strategy_id must be that of its rules, {identity}, was {item.strategy_id}")
    if not isfinite(item.score):
        raise ValueError(f"score must be finite, was {item.score}")
    if not item.start_time < item.train_end_time <= item.end_time:
        raise ValueError(
            "start_time, train_end_time and end_time must be in order, was "
            f"{item.start_time}, {item.train_end_time}, {item.end_time}"
        )
    # Whole numbers as int, as a search stores them.
    parameters = strategy.from_genome(strategy.genome(item.parameters))
    return msgspec.structs.replace(item, strategy=expression, parameters=parameters)


def _message(item: ExportedStrategy) -> DiscoveredStrategy:
    return DiscoveredStrategy(
        message_id=f"import/{item.strategy_id}",
        strategy_id=item.strategy_id,
        # No run of this installation found it.
        run_id=f"import-{item.strategy_id[:24]}",
        exchange=item.exchange,
        symbol=item.symbol,
        timeframe=item.timeframe,
        strategy_name=str(item.strategy["name"]),
        strategy=item.strategy,
        parameters=item.parameters,
        score=item.score,
        start_time=item.start_time,
        end_time=item.end_time,
        train_end_time=item.train_end_time,
        in_sample=item.in_sample,
        out_of_sample=item.out_of_sample,
        objective=item.objective,
    )
