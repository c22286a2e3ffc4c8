"""What each search said of a strategy, and which strategies a search found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from alpharay.store.strategies import StoredStrategy


@dataclass(frozen=True, slots=True)
class StoredEvidence:
    """What one run said of a strategy; times are UTC ms."""

    strategy_id: str
    run_id: str
    objective: str | None
    score: float
    in_sample: dict[str, float | None]
    out_of_sample: dict[str, float | None]
    start_time: int
    end_time: int
    train_end_time: int
    evaluated_at: datetime


_COLUMNS = ", ".join(f"e.{name}" for name in StoredEvidence.__dataclass_fields__)
_STRATEGY_COLUMNS = ", ".join(f"s.{name}" for name in StoredStrategy.__dataclass_fields__)


def evidence_of(connection: Connection[TupleRow], strategy_id: str) -> list[StoredEvidence]:
    """Return every run's evidence of a strategy, newest window first."""
    with connection.cursor(row_factory=class_row(StoredEvidence)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM strategy_evidence e WHERE strategy_id = %s ORDER BY end_time DESC, run_id",
            (strategy_id,),
        ).fetchall()


def champions_of_run(connection: Connection[TupleRow], run_id: str) -> list[tuple[StoredStrategy, StoredEvidence]]:
    """Return the strategies that a run found, each with what the run said of it, best score first."""
    with connection.cursor(row_factory=class_row(StoredEvidence)) as cursor:
        evidence = cursor.execute(
            f"SELECT {_COLUMNS} FROM strategy_evidence e WHERE run_id = %s ORDER BY score DESC, strategy_id", (run_id,)
        ).fetchall()
    with connection.cursor(row_factory=class_row(StoredStrategy)) as cursor:
        stored = cursor.execute(
            f"SELECT {_STRATEGY_COLUMNS} FROM strategies s WHERE strategy_id = ANY(%s)",
            ([item.strategy_id for item in evidence],),
        ).fetchall()
    by_id = {item.strategy_id: item for item in stored}
    return [(by_id[item.strategy_id], item) for item in evidence]
