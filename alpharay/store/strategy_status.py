"""The status of a strategy: which steps it may take, and who took each, when and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow, class_row

CANDIDATE = "CANDIDATE"
VALIDATED = "VALIDATED"
DEPLOYED = "DEPLOYED"
RETIRED = "RETIRED"
REJECTED = "REJECTED"
INSUFFICIENT = "INSUFFICIENT"

_TELL = """
SELECT set_config('alpharay.actor', %s, true), set_config('alpharay.reason', %s, true),
       set_config('alpharay.validation_id', %s, true)
"""


class IllegalStepError(ValueError):
    """The strategy's status does not allow this step; the text says which statuses it has and was to get."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of a strategy's status."""

    from_status: str
    to_status: str
    actor: str
    reason: str
    validation_id: str | None
    changed_at: datetime


def change_status(
    connection: Connection[TupleRow],
    strategy_id: str,
    to_status: str,
    *,
    actor: str,
    reason: str,
    validation_id: str | None = None,
) -> bool:
    """Let a strategy take one step, in the connection's transaction; False when it has the status already.

    CANDIDATE -> VALIDATED | REJECTED | INSUFFICIENT, INSUFFICIENT -> VALIDATED | REJECTED, VALIDATED -> DEPLOYED,
    DEPLOYED -> VALIDATED (taken out, still trusted), and all but REJECTED -> RETIRED. The database refuses any other
    step, whoever tries it: raises IllegalStepError. Raises LookupError for an unknown strategy.
    """
    with connection.transaction():
        row = connection.execute(
            "SELECT status FROM strategies WHERE strategy_id = %s FOR UPDATE", (strategy_id,)
        ).fetchone()
        if row is None:
            raise LookupError(f"no strategy {strategy_id} is stored: see `alpharay strategies list`")
        if row[0] == to_status:
            return False
        connection.execute(_TELL, (actor, reason, validation_id or ""))
        try:
            connection.execute("UPDATE strategies SET status = %s WHERE strategy_id = %s", (to_status, strategy_id))
        except psycopg.errors.CheckViolation as error:
            raise IllegalStepError(error.diag.message_primary or str(error)) from error
        # The next step of the same transaction is told anew.
        connection.execute(_TELL, ("", "", ""))
    return True


def transitions(connection: Connection[TupleRow], strategy_id: str) -> list[Transition]:
    """Return the steps that a strategy's status has taken, oldest first."""
    with connection.cursor(row_factory=class_row(Transition)) as cursor:
        return cursor.execute(
            "SELECT from_status, to_status, actor, reason, validation_id, changed_at FROM strategy_transitions "
            "WHERE strategy_id = %s ORDER BY id",
            (strategy_id,),
        ).fetchall()
