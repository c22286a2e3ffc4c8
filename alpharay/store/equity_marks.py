"""An account's equity over time: one mark a minute, later one an hour, and the drawdowns between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.store.account_equity import lost_share

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
FINE_DAYS = 30
"""For so long every minute is kept, then the first mark of each hour."""

KEPT_DAYS = 5 * 365

# The best is that of profit: money paid in or out is neither a gain nor a loss. Buckets keep their last mark, so the
# newest point is the newest mark; the lowest of the drawdown is of all marks.
_HISTORY = """
WITH marks AS (
    SELECT time_ms, equity, equity - profit AS capital, priced_ms,
           max(profit) OVER (ORDER BY time_ms) AS best
    FROM equity_marks WHERE account_id = %(account)s AND time_ms >= %(start)s AND time_ms < %(end)s
), standings AS (
    SELECT time_ms, equity, priced_ms, capital + best AS peak,
           row_number() OVER (PARTITION BY (time_ms - %(start)s) / %(step)s ORDER BY time_ms DESC) AS place
    FROM marks
), deepest AS (
    SELECT time_ms, equity, peak FROM standings WHERE peak > 0 ORDER BY equity / peak, time_ms LIMIT 1
)
SELECT s.time_ms, s.equity, s.peak, s.priced_ms, d.time_ms, d.equity, d.peak
FROM standings s LEFT JOIN deepest d ON true WHERE s.place = 1 ORDER BY s.time_ms
"""

_FORGET = """
DELETE FROM equity_marks old
WHERE account_id = %(account)s AND time_ms < %(fine)s AND (
    time_ms < %(kept)s OR EXISTS (
        SELECT FROM equity_marks earlier WHERE earlier.account_id = old.account_id
        AND earlier.time_ms < old.time_ms AND earlier.time_ms >= old.time_ms - old.time_ms %% %(hour)s
    )
)
"""


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """Equity at a time (UTC ms), the best until then with the money that was paid in then, and the share below it.

    `priced_ms` is when the oldest close that it rests on closed; None when nothing was held.
    """

    time_ms: int
    equity: Decimal
    peak: Decimal
    drawdown: float
    priced_ms: int | None


@dataclass(frozen=True, slots=True)
class EquityHistory:
    """Points oldest first, `step_ms` apart or more, and the deepest drawdown of all marks between them."""

    points: tuple[EquityPoint, ...]
    step_ms: int
    max_drawdown: float
    max_drawdown_ms: int | None


def keep_mark(
    connection: Connection[TupleRow],
    account_id: str,
    equity: Decimal,
    profit: Decimal,
    *,
    time_ms: int,
    closed_ms: Mapping[str, int],
) -> bool:
    """Keep an account's equity for the minute of `time_ms`; False when it has a mark already, which stays.

    `closed_ms` is when the close of each symbol that is held closed.
    """
    made = connection.execute(
        "INSERT INTO equity_marks (account_id, time_ms, equity, profit, priced_ms) VALUES (%s, %s, %s, %s, %s) "
        "ON CONFLICT DO NOTHING",
        (account_id, time_ms - time_ms % MINUTE_MS, equity, profit, min(closed_ms.values(), default=None)),
    )
    return made.rowcount == 1


def equity_history(
    connection: Connection[TupleRow], account_id: str, start_ms: int, end_ms: int, *, most_points: int = 1_000
) -> EquityHistory:
    """Return an account's equity from `start_ms` until before `end_ms`; drawdowns are from the best between them."""
    step = max(MINUTE_MS, -(-(end_ms - start_ms) // most_points // MINUTE_MS) * MINUTE_MS)
    rows = connection.execute(
        _HISTORY, {"account": account_id, "start": start_ms, "end": end_ms, "step": step}
    ).fetchall()
    points = tuple(EquityPoint(row[0], row[1], row[2], lost_share(row[1], row[2]), row[3]) for row in rows)
    if not rows or rows[0][4] is None:
        return EquityHistory(points, step, 0.0, None)
    when, equity, peak = rows[0][4:]
    deepest = lost_share(equity, peak)
    return EquityHistory(points, step, deepest, int(when) if deepest > 0.0 else None)


def forget_marks(connection: Connection[TupleRow], account_id: str, *, now_ms: int) -> int:
    """Thin an account's marks to one an hour after `FINE_DAYS`, drop them after `KEPT_DAYS`; return how many went."""
    gone = connection.execute(
        _FORGET,
        {
            "account": account_id,
            "fine": now_ms - FINE_DAYS * DAY_MS,
            "kept": now_ms - KEPT_DAYS * DAY_MS,
            "hour": HOUR_MS,
        },
    )
    return gone.rowcount
