"""The signals of a stretch of time with what became of them, read together."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import numpy as np
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from alpharay.analytics.decisions import Decisions, MarketName, StrategySet
from alpharay.analytics.record import AppliedTerms, SignalRecord
from alpharay.market.candles import IntArray
from alpharay.store.binary_copy import read_numbers

DECISIONS_KEPT = 100_000

_VERSION = "SELECT (SELECT max(stored_at) FROM signals), (SELECT max(worked_out_at) FROM signal_outcomes)"

# Names travel as numbers: a row of nothing else is read in one piece (`alpharay.store.binary_copy`).
_MARKET = "hashtextextended(s.exchange || chr(10) || s.symbol || chr(10) || s.timeframe, 0)"

_DECISIONS = f"""
SELECT {_MARKET}, hashtextextended(s.set_id, 0), CASE s.action WHEN 'BUY' THEN 1::bigint ELSE -1::bigint END,
    s.confidence, o.entry_time, o.exit_time, o.net_return, o.horizon::bigint, o.fee, o.slippage, count(*)
FROM signals AS s JOIN signal_outcomes AS o USING (signal_id)
WHERE s.stored_at >= now() - make_interval(secs => {{seconds}}) AND o.net_return IS NOT NULL
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
ORDER BY max(s.stored_at) DESC
LIMIT {{most}}
"""

_COLUMNS = {
    "market": "i8", "strategy_set": "i8", "side": "i8", "confidence": "f8", "entry_time": "i8", "exit_time": "i8",
    "net_return": "f8", "horizon": "i8", "fee": "f8", "slippage": "f8", "signals": "i8",
}  # fmt: skip

_ENDINGS = f"""
SELECT {_MARKET}, s.exchange, s.symbol, s.timeframe, s.action,
    coalesce(o.ending, CASE s.action WHEN 'HOLD' THEN 'NONE' ELSE 'WAITING' END), count(*)
FROM signals AS s LEFT JOIN signal_outcomes AS o USING (signal_id)
WHERE s.stored_at >= now() - make_interval(secs => %s)
GROUP BY 2, 3, 4, 5, 6
"""

_SETS = """
SELECT hashtextextended(set_id, 0), strategy_ids, strategy_sides FROM strategy_sets
WHERE hashtextextended(set_id, 0) = ANY(%s)
"""

_NAMES = "SELECT strategy_id, strategy_name FROM strategies WHERE strategy_id = ANY(%s)"


def record_version(connection: Connection[TupleRow]) -> tuple[datetime | None, datetime | None]:
    """Return what is equal when no signal and no outcome was stored in between."""
    row = connection.execute(_VERSION).fetchone()
    assert row is not None, "a query without FROM has one row"
    return row[0], row[1]


def load_signal_record(
    connection: Connection[TupleRow], *, days: float, most_decisions: int = DECISIONS_KEPT
) -> SignalRecord:
    """Return what is known of the signals that were stored in the newest `days`; the newest decisions, if too many."""
    seconds = days * 86_400.0
    query = sql.SQL(_DECISIONS).format(seconds=sql.Literal(seconds), most=sql.Literal(most_decisions + 1))
    columns: dict[str, Any] = read_numbers(connection, query, _COLUMNS)
    complete = len(columns["side"]) <= most_decisions
    columns = {name: values[:most_decisions] for name, values in columns.items()}
    # After the decisions: what they name is stored by then. A market may have been pruned since.
    endings, markets = _endings(connection, seconds)
    kept = np.isin(columns["market"], list(markets))
    columns = {name: values[kept] for name, values in columns.items()}
    sets = _strategy_sets(connection, columns["strategy_set"])
    applied = zip(*(columns.pop(name).tolist() for name in AppliedTerms._fields), strict=True)
    return SignalRecord(
        days=days,
        decisions=Decisions(
            markets=tuple(markets.values()),
            sets=tuple(sets.values()),
            **{
                **columns,
                "market": _places(columns["market"], markets),
                "strategy_set": _places(columns["strategy_set"], sets),
            },
        ),
        endings=endings,
        terms=_counted(AppliedTerms(*one) for one in applied),
        strategy_names=_strategy_names(connection, sets.values()),
        complete=complete,
    )


def _endings(
    connection: Connection[TupleRow], seconds: float
) -> tuple[dict[tuple[MarketName, str, str], int], dict[int, MarketName]]:
    rows = connection.execute(_ENDINGS, (seconds,)).fetchall()
    endings = {(MarketName(*row[1:4]), str(row[4]), str(row[5])): int(row[6]) for row in rows}
    return endings, {int(row[0]): MarketName(*row[1:4]) for row in rows}


def _strategy_sets(connection: Connection[TupleRow], numbers: IntArray) -> dict[int, StrategySet]:
    wanted = np.unique(numbers).tolist()
    found = {number: StrategySet(()) for number in wanted}
    for number, strategy_ids, sides in connection.execute(_SETS, (wanted,)).fetchall():
        found[number] = StrategySet(tuple(strategy_ids), None if sides is None else tuple(sides))
    return found


def _strategy_names(connection: Connection[TupleRow], sets: Iterable[StrategySet]) -> dict[str, str]:
    wanted = sorted({name for one in sets for name in one.strategy_ids})
    return dict(connection.execute(_NAMES, (wanted,)).fetchall())


def _places(numbers: IntArray, known: dict[int, Any]) -> IntArray:
    """Return where each number stands among those that are known."""
    keys = np.array(list(known), np.int64)
    order = np.argsort(keys)
    return order[np.searchsorted(keys[order], numbers)] if len(keys) else numbers


def _counted(terms: Iterable[AppliedTerms]) -> dict[AppliedTerms, int]:
    found: dict[AppliedTerms, int] = {}
    for one in terms:
        found[one] = found.get(one, 0) + 1
    return found
