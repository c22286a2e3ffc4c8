"""Rows of numbers from PostgreSQL as arrays: one stream, no object a row, no interpreter's lock held for long."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from psycopg import Connection, sql
from psycopg.rows import TupleRow

# PostgreSQL's binary COPY format: signature, flags, extension length; then rows; then a field count of -1.
# https://www.postgresql.org/docs/current/sql-copy.html
_HEADER_BYTES = 19
_TRAILER_BYTES = 2


def read_numbers(
    connection: Connection[TupleRow], query: sql.Composable, columns: Mapping[str, str]
) -> dict[str, npt.NDArray[np.generic]]:
    """Return the query's columns as arrays, by name.

    `columns` says of each in order what it is: `i8` (bigint) or `f8` (double precision), none of them ever null. The
    query has its values in it: COPY takes no parameters.
    """
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT BINARY)").format(query)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        stream = b"".join(bytes(block) for block in copy)
    # A row is its field count, then each field after its length, all big-endian.
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for name, kind in columns.items():
        layout += [(f"{name}_bytes", ">i4"), (name, f">{kind}")]
    rows = np.frombuffer(stream[_HEADER_BYTES:-_TRAILER_BYTES], dtype=np.dtype(layout))
    return {name: rows[name].astype(kind) for name, kind in columns.items()}
