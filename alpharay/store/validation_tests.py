"""The stream of p-values of all requests: each gets its level from those before it, once."""

from __future__ import annotations

import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.validation.false_discovery import RATE, Procedure, saffron_level

# One test at a time has its turn; any constant that is used for nothing else.
STREAM_LOCK = 7_274_519_005


def next_level(
    connection: Connection[TupleRow], test_id: str, procedure: Procedure = saffron_level, rate: float = RATE
) -> float:
    """Return the level at which `test_id` was tested, or would be if it came now."""
    row = connection.execute("SELECT level FROM validation_tests WHERE test_id = %s", (test_id,)).fetchone()
    return float(row[0]) if row is not None else _level(connection, procedure, rate)[1]


def record_test(
    connection: Connection[TupleRow],
    test_id: str,
    strategy_id: str,
    p_value: float,
    procedure: Procedure = saffron_level,
    rate: float = RATE,
) -> float:
    """Append a test to the stream and return its level; one that is there already keeps the level it had."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (STREAM_LOCK,))
        known = connection.execute("SELECT level FROM validation_tests WHERE test_id = %s", (test_id,)).fetchone()
        if known is not None:
            return float(known[0])
        tests, level = _level(connection, procedure, rate)
        connection.execute(
            "INSERT INTO validation_tests (position, test_id, strategy_id, p_value, level) VALUES (%s, %s, %s, %s, %s)",
            (tests + 1, test_id, strategy_id, p_value, level),
        )
        return level


def _level(connection: Connection[TupleRow], procedure: Procedure, rate: float) -> tuple[int, float]:
    """Return how many tests there are, and the level of the next."""
    rows = connection.execute("SELECT p_value, discovery FROM validation_tests ORDER BY position").fetchall()
    p_values = np.array([row[0] for row in rows], dtype=np.float64)
    found = np.flatnonzero([row[1] for row in rows]).astype(np.int64)
    return len(rows), procedure(p_values, found, rate)
