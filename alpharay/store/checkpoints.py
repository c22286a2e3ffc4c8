"""The newest state of each search that is not finished, so that whoever claims its run next goes on from there."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.store.lease_queue import Lease

# The runs' rows are locked against a claim until this is committed, and a row that another epoch has is not among them.
_SAVE = """
WITH given AS (
    SELECT * FROM unnest(%(keys)s::text[], %(epochs)s::bigint[], %(generations)s::integer[], %(contents)s::bytea[],
                         %(checksums)s::text[]) AS g (run_id, lease_epoch, generation, content, checksum)
), held AS (
    SELECT r.run_id FROM discovery_runs r JOIN given g ON g.run_id = r.run_id AND g.lease_epoch = r.lease_epoch
    WHERE r.lease_owner = %(owner)s AND r.status = 'RUNNING'
    FOR SHARE OF r
)
INSERT INTO discovery_checkpoints AS c (run_id, lease_epoch, generation, content, checksum)
SELECT g.run_id, g.lease_epoch, g.generation, g.content, g.checksum FROM given g JOIN held h USING (run_id)
ON CONFLICT (run_id) DO UPDATE SET
    lease_epoch = excluded.lease_epoch, generation = excluded.generation, content = excluded.content,
    checksum = excluded.checksum, updated_at = now()
WHERE c.lease_epoch <= excluded.lease_epoch
RETURNING run_id
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A search's state after `generation` generations, as bytes that `alpharay.discovery.checkpoint` reads."""

    generation: int
    content: bytes


def save_checkpoints(
    connection: Connection[TupleRow], checkpoints: Sequence[tuple[Lease, StoredCheckpoint]]
) -> set[str]:
    """Store the newest state of runs of one owner; return the ids of those that it still holds.

    Of a run that another worker has claimed since, nothing is written: a late worker cannot overwrite.
    """
    if not checkpoints:
        return set()
    rows = connection.execute(
        _SAVE,
        {
            "keys": [lease.key for lease, _ in checkpoints],
            "epochs": [lease.epoch for lease, _ in checkpoints],
            "owner": checkpoints[0][0].owner,
            "generations": [stored.generation for _, stored in checkpoints],
            "contents": [stored.content for _, stored in checkpoints],
            "checksums": [_checksum(stored.content) for _, stored in checkpoints],
        },
    )
    return {row[0] for row in rows}


def load_checkpoints(connection: Connection[TupleRow], run_ids: Sequence[str]) -> dict[str, StoredCheckpoint]:
    """Return the stored states by run id; runs without one, or with damaged bytes, begin anew."""
    rows = connection.execute(
        "SELECT run_id, generation, content, checksum FROM discovery_checkpoints WHERE run_id = ANY(%s)",
        (list(run_ids),),
    ).fetchall()
    found = {}
    for run_id, generation, content, checksum in rows:
        if _checksum(content) == checksum:
            found[run_id] = StoredCheckpoint(int(generation), bytes(content))
        else:
            log.warning("checkpoint.damaged", run_id=run_id, generation=generation)
    return found


def forget_checkpoint(connection: Connection[TupleRow], run_id: str) -> None:
    """Drop the state of a run that has ended."""
    connection.execute("DELETE FROM discovery_checkpoints WHERE run_id = %s", (run_id,))


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
