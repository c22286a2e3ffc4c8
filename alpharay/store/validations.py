"""Validations: who works on which strategy, what an attempt has so far, and the evidence that it ended with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from alpharay.bus.messages import DiscoveryRequest
from alpharay.store.lease_queue import LEASE_S, MAX_ATTEMPTS, LeaseLostError
from alpharay.store.strategies import StoredStrategy
from alpharay.store.strategy_status import CANDIDATE, INSUFFICIENT, change_status

OPEN_STATUSES = (CANDIDATE, INSUFFICIENT)
"""Strategies with these may be validated."""

_COLUMNS = ", ".join(f"s.{name}" for name in StoredStrategy.__dataclass_fields__)

_TAKE_OVER = """
UPDATE validations SET
    lease_owner = %(owner)s, lease_until = now() + make_interval(secs => %(lease_s)s), attempts = attempts + 1
WHERE validation_id = %(validation_id)s
RETURNING attempts, progress
"""

_BEGIN = """
INSERT INTO validations
    (validation_id, test_id, strategy_id, run_id, configuration, known_until, lease_owner, lease_until, progress)
VALUES
    (%(validation_id)s, %(test_id)s, %(strategy_id)s, %(run_id)s, %(configuration)s, %(known_until)s, %(owner)s,
     now() + make_interval(secs => %(lease_s)s), (
        SELECT jsonb_build_object('null', evidence -> 'permutation' -> 'null') FROM validations
        WHERE test_id = %(test_id)s AND evidence IS NOT NULL ORDER BY finished_at DESC LIMIT 1
     ))
ON CONFLICT DO NOTHING
RETURNING attempts, progress
"""


@dataclass(frozen=True, slots=True)
class ClaimedValidation:
    """A validation that `owner` may work on until its lease ends."""

    validation_id: str
    test_id: str
    strategy_id: str
    known_until: int
    """UTC ms: candles that open from here on are not part of it, also when they have come meanwhile."""
    owner: str
    attempt: int
    known_null: tuple[float, ...]
    """Permutations that an attempt before has computed."""


@dataclass(frozen=True, slots=True)
class StoredValidation:
    """A validation as it stands; status is RUNNING, VALIDATED, REJECTED, INSUFFICIENT or FAILED."""

    validation_id: str
    test_id: str
    strategy_id: str
    run_id: str | None
    configuration: str
    known_until: int
    status: str
    attempts: int
    summary: str | None
    reasons: list[dict[str, Any]] | None
    evidence: dict[str, Any] | None
    error: str | None
    started_at: datetime
    finished_at: datetime | None


def validation_test_id(strategy_id: str, window: tuple[int, int, int], configuration: str) -> str:
    """Return the id of what is tested: a strategy, found in a window (start, end of training, end), under settings."""
    content = msgspec.json.encode([strategy_id, window, configuration])
    return hashlib.sha256(content).hexdigest()[:32]


def open_strategies(
    connection: Connection[TupleRow], *, symbol: str | None = None, timeframe: str | None = None, limit: int = 10_000
) -> list[StoredStrategy]:
    """Return the strategies that wait for validation, best score first."""
    with connection.cursor(row_factory=class_row(StoredStrategy)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM strategies s WHERE status = ANY(%(statuses)s) "
            "AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s) "
            "AND (%(timeframe)s::text IS NULL OR timeframe = %(timeframe)s) "
            "ORDER BY score DESC, strategy_id LIMIT %(limit)s",
            {"statuses": list(OPEN_STATUSES), "symbol": symbol, "timeframe": timeframe, "limit": limit},
        ).fetchall()


def find_strategy(connection: Connection[TupleRow], beginning: str) -> StoredStrategy:
    """Return the strategy whose id begins so; raises LookupError when none or several do."""
    with connection.cursor(row_factory=class_row(StoredStrategy)) as cursor:
        found = cursor.execute(
            f"SELECT {_COLUMNS} FROM strategies s WHERE starts_with(strategy_id, %s) ORDER BY strategy_id LIMIT 2",
            (beginning,),
        ).fetchall()
    if len(found) == 1:
        return found[0]
    several = "several strategies have" if found else "no strategy has"
    raise LookupError(f"{several} an id that begins with {beginning!r}: see `alpharay strategies list --json`")


def discovery_of(connection: Connection[TupleRow], stored: StoredStrategy) -> DiscoveryRequest | None:
    """Return the request of the newest search that found the strategy in the window that it shows, if it is kept."""
    row = connection.execute(
        "SELECT r.request FROM strategy_evidence e JOIN discovery_runs r USING (run_id) "
        "WHERE e.strategy_id = %s AND e.start_time = %s AND e.end_time = %s ORDER BY e.evaluated_at DESC LIMIT 1",
        (stored.strategy_id, stored.start_time, stored.end_time),
    ).fetchone()
    return None if row is None else msgspec.convert(row[0], DiscoveryRequest)


def claim_validation(
    connection: Connection[TupleRow],
    *,
    strategy_id: str,
    test_id: str,
    configuration: str,
    known_until: int,
    run_id: str | None,
    owner: str,
    lease_s: float = LEASE_S,
    max_attempts: int = MAX_ATTEMPTS,
    is_gone: Callable[[str], bool] = lambda _: False,
) -> ClaimedValidation | None:
    """Claim the validation of a strategy; None when another worker has it, or it was done on these candles before.

    `is_gone` tells whether an owner is known to be dead, so that its lease need not be waited for.

    A validation whose worker vanished is gone on with, on the candles that it began with. One whose workers vanished
    `max_attempts` times, or that began under other settings, fails and a new one may begin.
    """
    with connection.transaction():
        # One claim of a strategy at a time.
        status = connection.execute(
            "SELECT status FROM strategies WHERE strategy_id = %s FOR UPDATE", (strategy_id,)
        ).fetchone()
        if status is None or status[0] not in OPEN_STATUSES:
            return None
        running = connection.execute(
            "SELECT validation_id, test_id, known_until, attempts, lease_until >= now(), lease_owner FROM validations "
            "WHERE strategy_id = %s AND status = 'RUNNING'",
            (strategy_id,),
        ).fetchone()
        if running is not None and running[4] and not is_gone(running[5]):
            return None
        values = {"strategy_id": strategy_id, "owner": owner, "lease_s": lease_s}
        if running is not None and running[1] == test_id and running[3] < max_attempts:
            validation_id, known_until = running[0], int(running[2])
            row = connection.execute(_TAKE_OVER, {**values, "validation_id": validation_id}).fetchone()
        else:
            if running is not None:
                connection.execute(
                    "UPDATE validations SET status = 'FAILED', error = %s, finished_at = now(), lease_owner = NULL "
                    "WHERE validation_id = %s",
                    (f"its worker vanished {running[3]} times, or other settings took its place", running[0]),
                )
            validation_id = f"{test_id}-{known_until}"
            values |= {"validation_id": validation_id, "test_id": test_id, "run_id": run_id}
            row = connection.execute(
                _BEGIN, {**values, "configuration": configuration, "known_until": known_until}
            ).fetchone()
        if row is None:
            return None
    null = (row[1] or {}).get("null") or ()
    known_null = tuple(float("-inf") if value is None else float(value) for value in null)
    return ClaimedValidation(validation_id, test_id, strategy_id, known_until, owner, int(row[0]), known_null)


def renew_validation(
    connection: Connection[TupleRow],
    claimed: ClaimedValidation,
    *,
    null: Sequence[float] = (),
    lease_s: float = LEASE_S,
) -> None:
    """Extend the lease and keep the permutations so far; raises LeaseLostError when it is another worker's."""
    progress = msgspec.json.encode({"null": list(null)}).decode() if null else None
    renewed = connection.execute(
        "UPDATE validations SET lease_until = now() + make_interval(secs => %s), "
        "progress = coalesce(%s::jsonb, progress) "
        "WHERE validation_id = %s AND lease_owner = %s AND attempts = %s AND status = 'RUNNING'",
        (lease_s, progress, claimed.validation_id, claimed.owner, claimed.attempt),
    )
    _require_lease(renewed.rowcount, claimed)


def release_validation(connection: Connection[TupleRow], claimed: ClaimedValidation) -> None:
    """End the lease now, so that the next worker need not wait for it; nothing happens when it is lost already."""
    connection.execute(
        "UPDATE validations SET lease_until = now() - interval '1 ms', attempts = attempts - 1 "
        "WHERE validation_id = %s AND lease_owner = %s AND attempts = %s AND status = 'RUNNING'",
        (claimed.validation_id, claimed.owner, claimed.attempt),
    )


def finish_validation(
    connection: Connection[TupleRow], claimed: ClaimedValidation, evidence: Mapping[str, Any], *, actor: str
) -> None:
    """Store the evidence and let the strategy take its step, in one transaction; raises LeaseLostError.

    `evidence` is the record of `alpharay.validation.validation.validation_json`.
    """
    verdict = evidence["verdict"]
    with connection.transaction():
        ended = connection.execute(
            "UPDATE validations SET status = %s, summary = %s, reasons = %s::jsonb, evidence = %s::jsonb, "
            "progress = NULL, finished_at = now(), lease_owner = NULL, lease_until = NULL "
            "WHERE validation_id = %s AND lease_owner = %s AND attempts = %s AND status = 'RUNNING'",
            (
                verdict["status"],
                verdict["text"],
                msgspec.json.encode(verdict["gates"]).decode(),
                msgspec.json.encode(evidence).decode(),
                claimed.validation_id,
                claimed.owner,
                claimed.attempt,
            ),
        )
        _require_lease(ended.rowcount, claimed)
        change_status(
            connection,
            claimed.strategy_id,
            verdict["status"],
            actor=actor,
            reason=verdict["text"],
            validation_id=claimed.validation_id,
        )


def fail_validation(connection: Connection[TupleRow], claimed: ClaimedValidation, error: str) -> None:
    """Mark the validation FAILED, with the reason; the strategy's status stays. Raises LeaseLostError."""
    failed = connection.execute(
        "UPDATE validations SET status = 'FAILED', error = %s, finished_at = now(), lease_owner = NULL, "
        "lease_until = NULL WHERE validation_id = %s AND lease_owner = %s AND attempts = %s AND status = 'RUNNING'",
        (error, claimed.validation_id, claimed.owner, claimed.attempt),
    )
    _require_lease(failed.rowcount, claimed)


def validations_of(connection: Connection[TupleRow], strategy_id: str) -> list[StoredValidation]:
    """Return the validations of a strategy, newest first."""
    columns = ", ".join(StoredValidation.__dataclass_fields__)
    with connection.cursor(row_factory=class_row(StoredValidation)) as cursor:
        return cursor.execute(
            f"SELECT {columns} FROM validations WHERE strategy_id = %s ORDER BY started_at DESC, validation_id",
            (strategy_id,),
        ).fetchall()


def _require_lease(rows: int, claimed: ClaimedValidation) -> None:
    if rows != 1:
        raise LeaseLostError(
            f"validation {claimed.validation_id} is no longer attempt {claimed.attempt} of {claimed.owner}: "
            "its lease ended and another worker has it, or it has ended"
        )
