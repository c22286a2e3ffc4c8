"""What became of the stored signals: worked out from stored candles and kept beside them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.analytics.outcome import DEFINED, SIDES, Ending, Outcomes, OutcomeTerms, signal_outcomes
from alpharay.market.candles import IntArray
from alpharay.market.timeframe import timeframe_ms
from alpharay.store.candle_rows import Market
from alpharay.store.candles import load_candles, newest_open_time
from alpharay.store.database import DatabasePool, in_transaction
from alpharay.store.signals import StoredSignal

SETTLE_MS = 24 * 3_600_000
"""So long after its exit, by its market's candles, an outcome may change: candles are corrected, signals come late."""

DECISIONS_AT_ONCE = 500
ACTIONS = {side: action for action, side in SIDES.items()}

# From one market's first open signal to the next market's: a step a market, not a row a signal.
_OPEN_MARKETS = """
WITH RECURSIVE market AS (
    (SELECT exchange, symbol, timeframe FROM signals WHERE NOT settled ORDER BY exchange, symbol, timeframe LIMIT 1)
    UNION ALL
    SELECT following.*
    FROM market AS known
    CROSS JOIN LATERAL (
        SELECT exchange, symbol, timeframe
        FROM signals
        WHERE NOT settled
          AND (exchange, symbol, timeframe) > (known.exchange, known.symbol, known.timeframe)
        ORDER BY exchange, symbol, timeframe
        LIMIT 1
    ) AS following
)
SELECT exchange, symbol, timeframe FROM market
"""

_OF_MARKET = "exchange = %(exchange)s AND symbol = %(symbol)s AND timeframe = %(timeframe)s"

_FIRST_OPEN = f"SELECT min(exchange_time) FROM signals WHERE {_OF_MARKET} AND NOT settled"

# Signals between two opens have one entry: they are one decision. Division that rounds down, also before 1970.
_BAR = "floor(exchange_time / %(length)s::float8)::bigint"

# An equality, which is joined by its hash, inside bounds that are looked up in the index.
_SAME_DECISION = f"""
    s.exchange = %(exchange)s AND s.symbol = %(symbol)s AND s.timeframe = %(timeframe)s AND NOT s.settled
    AND s.exchange_time >= %(first)s AND s.exchange_time < %(last)s
    AND {_BAR} = d.bar AND s.action = d.action
"""

_DECISIONS = f"""
SELECT {_BAR} AS bar, action, bool_or(NOT settled)
FROM signals
WHERE {_OF_MARKET} AND exchange_time >= %(first)s AND action <> 'HOLD'
GROUP BY 1, 2
ORDER BY 1, 2
"""

_OUTCOME_COLUMNS = (
    "ending", "entry_time", "entry_price", "exit_time", "exit_price", "gross_return", "net_return", "horizon", "fee",
    "slippage",
)  # fmt: skip
_COLUMNS = ", ".join(_OUTCOME_COLUMNS)
_KNOWN = ", ".join(f"known.{name}" for name in _OUTCOME_COLUMNS)
_NEW = ", ".join(f"excluded.{name}" for name in _OUTCOME_COLUMNS)

_STORE = f"""
INSERT INTO signal_outcomes AS known (signal_id, {_COLUMNS})
SELECT s.signal_id, d.ending, d.entry_time, d.entry_price, d.exit_time, d.exit_price, d.gross_return, d.net_return,
    %(horizon)s, %(fee)s, %(slippage)s
FROM unnest(
    %(bar)s::bigint[], %(action)s::text[], %(ending)s::text[], %(entry_time)s::bigint[], %(entry_price)s::float8[],
    %(exit_time)s::bigint[], %(exit_price)s::float8[], %(gross_return)s::float8[], %(net_return)s::float8[]
) AS d (
    bar, action, ending, entry_time, entry_price, exit_time, exit_price, gross_return, net_return
)
JOIN signals AS s ON {_SAME_DECISION}
ORDER BY s.signal_id
ON CONFLICT (signal_id) DO UPDATE SET ({_COLUMNS}, worked_out_at) = ({_NEW}, now())
WHERE ({_KNOWN}) IS DISTINCT FROM ({_NEW})
"""

# One that came after its decision was stored has no outcome yet: it stays open for the next round.
_SETTLE = f"""
UPDATE signals AS s SET settled = true
FROM unnest(%(bar)s::bigint[], %(action)s::text[], %(settled)s::boolean[]) AS d (bar, action, settled)
WHERE {_SAME_DECISION} AND d.settled AND EXISTS (SELECT 1 FROM signal_outcomes AS o WHERE o.signal_id = s.signal_id)
"""

_REOPEN = """
UPDATE signals SET settled = false
WHERE settled AND action <> 'HOLD' AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s)
"""


@dataclass(frozen=True, slots=True)
class StoredOutcome:
    """What became of one signal; times are UTC ms, None where it was missed."""

    ending: str
    entry_time: int | None
    entry_price: float | None
    exit_time: int | None
    exit_price: float | None
    gross_return: float | None
    net_return: float | None
    horizon: int
    fee: float
    slippage: float
    worked_out_at: datetime


class WorkedOut(NamedTuple):
    """What one round has done for a market, in signals."""

    market: Market
    stored: int = 0
    """Outcomes that are new or have changed."""
    settled: int = 0
    waiting: int = 0
    """Decisions whose candles are not there yet."""


def open_markets(connection: Connection[TupleRow]) -> list[Market]:
    """Return the markets with signals whose outcome may still come or change, in order."""
    return [Market(*row) for row in connection.execute(_OPEN_MARKETS).fetchall()]


def work_out(pool: DatabasePool, market: Market, terms: OutcomeTerms, *, settle_ms: int = SETTLE_MS) -> WorkedOut:
    """Work out what became of a market's open signals and store it; the same signals and candles again change nothing.

    Signals are taken between two opens of the market's candles together, so the work grows with the candles, not with
    how often clients ask. An outcome whose exit is `settle_ms` before the market's newest candle is final.
    """
    length = timeframe_ms(market.timeframe)
    with pool.connection() as connection:
        row = connection.execute(_FIRST_OPEN, market._asdict()).fetchone()
        newest = newest_open_time(connection, market)
        if row is None or row[0] is None or newest is None or newest <= row[0]:
            return WorkedOut(market)
        first = int(row[0]) // length * length
        said = connection.execute(_DECISIONS, {**market._asdict(), "length": length, "first": first}).fetchall()
        candles = load_candles(connection, market, start_ms=first)
    starts = np.array([bar * length for bar, _, _ in said], np.int64)
    sides = np.array([SIDES[action] for _, action, _ in said], np.int64)
    is_open = np.array([unsettled for _, _, unsettled in said], np.bool_)
    outcomes = signal_outcomes(starts, sides, candles, terms)
    known = is_open & (outcomes.ending != Ending.WAITING)
    missed_for_good = starts + terms.latest_entry * length
    over = np.where(outcomes.defined, outcomes.exit_time, missed_for_good) + settle_ms <= newest
    stored = settled = 0
    for places in _parts(np.flatnonzero(known)):
        values = _values(places, starts // length, sides, outcomes, over)
        parameters = {
            **market._asdict(), **values, "length": length,
            "first": int(starts[places[0]]), "last": int(starts[places[-1]]) + length,
            "horizon": terms.horizon, "fee": terms.costs.fee, "slippage": terms.costs.slippage,
        }  # fmt: skip

        def write(connection: Connection[TupleRow], parameters: dict[str, Any] = parameters) -> tuple[int, int]:
            return connection.execute(_STORE, parameters).rowcount, connection.execute(_SETTLE, parameters).rowcount

        new, final = in_transaction(pool, write)
        stored, settled = stored + new, settled + final
    return WorkedOut(market, stored, settled, int((is_open & (outcomes.ending == Ending.WAITING)).sum()))


def reopen_signals(connection: Connection[TupleRow], *, symbol: str | None = None) -> int:
    """Let the outcomes of all signals, or those of a symbol, be worked out again; return how many that are."""
    return connection.execute(_REOPEN, {"symbol": symbol}).rowcount


def outcomes_of(connection: Connection[TupleRow], signal_ids: Sequence[str]) -> dict[str, StoredOutcome]:
    """Return what became of signals, by id; those of which that is not known are missing."""
    names = ", ".join(StoredOutcome.__dataclass_fields__)
    rows = connection.execute(
        f"SELECT signal_id, {names} FROM signal_outcomes WHERE signal_id = ANY(%s)", (list(signal_ids),)
    ).fetchall()
    return {row[0]: StoredOutcome(*row[1:]) for row in rows}


def outcome_of(connection: Connection[TupleRow], signal_id: str) -> StoredOutcome | None:
    """Return what became of a signal; None while that is not known."""
    return outcomes_of(connection, [signal_id]).get(signal_id)


def ending_of(signal: StoredSignal, outcome: StoredOutcome | None) -> str:
    """Return how a signal ended, by its name in `alpharay.analytics.outcome.Ending`."""
    if outcome is not None:
        return outcome.ending
    return (Ending.NONE if signal.action == "HOLD" else Ending.WAITING).name


def _parts(places: IntArray) -> Iterator[IntArray]:
    for start in range(0, len(places), DECISIONS_AT_ONCE):
        yield places[start : start + DECISIONS_AT_ONCE]


def _values(
    places: IntArray, bars: IntArray, sides: IntArray, outcomes: Outcomes, over: np.ndarray[Any, np.dtype[np.bool_]]
) -> dict[str, list[Any]]:
    defined = np.isin(outcomes.ending[places], DEFINED).tolist()

    def told(values: list[Any]) -> list[Any]:
        return [value if known else None for value, known in zip(values, defined, strict=True)]

    named = {
        name: told(getattr(outcomes, name)[places].tolist())
        for name in ("entry_time", "entry_price", "exit_time", "exit_price", "gross_return", "net_return")
    }
    assert all(value is None or math.isfinite(value) for value in named["net_return"]), "prices are finite and above 0"
    return {
        **named,
        "bar": bars[places].tolist(),
        "action": [ACTIONS[side] for side in sides[places].tolist()],
        "ending": [Ending(one).name for one in outcomes.ending[places].tolist()],
        "settled": over[places].tolist(),
    }
