"""Discovered strategies and their evidence."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from alpharay.bus.messages import DiscoveredStrategy
from alpharay.bus.topics import DISCOVERED_STRATEGIES
from alpharay.store.message_writer import MessageWriter, RefusedMessageError

CANDIDATE = "CANDIDATE"


@dataclass(frozen=True, slots=True)
class StoredStrategy:
    """A strategy with the evidence of its newest window.

    Times are UTC ms, scores the objective's in sample.
    """

    strategy_id: str
    exchange: str
    symbol: str
    timeframe: str
    strategy_name: str
    strategy: dict[str, Any]
    parameters: dict[str, float]
    objective: str | None
    score: float
    in_sample: dict[str, float | None]
    out_of_sample: dict[str, float | None]
    start_time: int
    end_time: int
    train_end_time: int
    status: str
    first_discovered_at: datetime
    last_evaluated_at: datetime


_UPSERT_STRATEGY = """
INSERT INTO strategies (
    strategy_id, exchange, symbol, timeframe, strategy_name, strategy, parameters, objective, score,
    in_sample, out_of_sample, start_time, end_time, train_end_time
) VALUES (
    %(strategy_id)s, %(exchange)s, %(symbol)s, %(timeframe)s, %(strategy_name)s, %(strategy)s::jsonb,
    %(parameters)s::jsonb, %(objective)s, %(score)s, %(in_sample)s::jsonb, %(out_of_sample)s::jsonb,
    %(start_time)s, %(end_time)s, %(train_end_time)s
)
ON CONFLICT (strategy_id) DO UPDATE SET last_evaluated_at = now()
RETURNING exchange, symbol, timeframe
"""

_INSERT_EVIDENCE = """
INSERT INTO strategy_evidence (
    strategy_id, run_id, objective, score, in_sample, out_of_sample, start_time, end_time, train_end_time
) VALUES (
    %(strategy_id)s, %(run_id)s, %(objective)s, %(score)s, %(in_sample)s::jsonb, %(out_of_sample)s::jsonb,
    %(start_time)s, %(end_time)s, %(train_end_time)s
)
ON CONFLICT (strategy_id, run_id) DO NOTHING
"""

_SHOW_NEWEST_WINDOW = """
UPDATE strategies SET
    objective = %(objective)s, score = %(score)s, in_sample = %(in_sample)s::jsonb,
    out_of_sample = %(out_of_sample)s::jsonb, start_time = %(start_time)s, end_time = %(end_time)s,
    train_end_time = %(train_end_time)s
WHERE strategy_id = %(strategy_id)s AND end_time < %(end_time)s
"""

_COLUMNS = ", ".join(StoredStrategy.__dataclass_fields__)


def strategy_writer() -> MessageWriter[DiscoveredStrategy]:
    """Return the writer that stores each message of `discovered-strategies`, once."""
    return MessageWriter(
        DISCOVERED_STRATEGIES,
        "strategies-consumer",
        DiscoveredStrategy,
        message_id=lambda champion: champion.message_id,
        store=store_strategy,
    )


def store_strategy(connection: Connection[TupleRow], found: DiscoveredStrategy) -> None:
    """Insert a strategy as CANDIDATE, or add evidence to the one with its identity.

    The row shows the evidence of the newest window; every run's stays in `strategy_evidence`, and the status
    is left as it is. Raises RefusedMessageError when the identity belongs to another market.
    """
    values = _values(found)
    row = connection.execute(
        _UPSERT_STRATEGY,
        values,
    ).fetchone()
    assert row is not None, "an upsert returns its row"
    if row != (found.exchange, found.symbol, found.timeframe):
        raise RefusedMessageError(
            f"strategy_id {found.strategy_id} belongs to {' '.join(row)}, "
            f"was sent for {found.exchange} {found.symbol} {found.timeframe}"
        )
    connection.execute(_INSERT_EVIDENCE, values)
    connection.execute(_SHOW_NEWEST_WINDOW, values)


def best_strategies(
    connection: Connection[TupleRow],
    *,
    symbol: str | None = None,
    timeframe: str | None = None,
    exchange: str | None = None,
    statuses: Collection[str] | None = None,
    limit: int = 100,
) -> list[StoredStrategy]:
    """Return stored strategies, best score first, of one market or of all, with any status or some.

    Equal scores in the order of their ids.
    """
    with connection.cursor(row_factory=class_row(StoredStrategy)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM strategies WHERE (%(symbol)s::text IS NULL OR symbol = %(symbol)s) "
            "AND (%(timeframe)s::text IS NULL OR timeframe = %(timeframe)s) "
            "AND (%(exchange)s::text IS NULL OR exchange = %(exchange)s) "
            "AND (%(statuses)s::text[] IS NULL OR status = ANY(%(statuses)s)) "
            "ORDER BY score DESC, strategy_id LIMIT %(limit)s",
            {
                "symbol": symbol,
                "timeframe": timeframe,
                "exchange": exchange,
                "statuses": None if statuses is None else list(statuses),
                "limit": limit,
            },
        ).fetchall()


def _values(found: DiscoveredStrategy) -> dict[str, object]:
    values: dict[str, object] = msgspec.structs.asdict(found)
    for name in ("strategy", "parameters", "in_sample", "out_of_sample"):
        values[name] = msgspec.json.encode(values[name]).decode()
    return values
