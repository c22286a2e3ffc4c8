"""The database as a command uses it: one connection, and the users' indicators that stored rules may need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from alpharay.settings import settings

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.rows import TupleRow


@contextmanager
def database_connection() -> Iterator[Connection[TupleRow]]:
    """Open one connection whose transaction is committed at the end; run the files of ALPHARAY_STRATEGY_FILES.

    What is wrong with one of those files is told, and only rules that need it fail. Raises SettingMissingError.
    """
    from alpharay.store.database import BATCH_STATEMENT_TIMEOUT_S, open_pool
    from alpharay.strategies.loading import run_files

    current = settings()
    for problem in run_files(current.strategy_files):
        typer.secho(f"warning: {problem}", fg="yellow", err=True)
    with (
        open_pool(
            current.require("database_url"),
            application="alpharay",
            max_connections=1,
            statement_timeout_s=BATCH_STATEMENT_TIMEOUT_S,
        ) as pool,
        pool.connection() as connection,
    ):
        yield connection
