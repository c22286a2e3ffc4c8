"""What a command says when something is wrong: one line that tells what to do next, and exit status 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

CANNOT_RUN = 2


@contextmanager
def errors_told() -> Iterator[None]:
    """Turn what a user, a file or a server can cause into a line on standard error and `CANNOT_RUN`.

    Anything else is a mistake of ours and keeps its traceback.
    """
    # Here, because `--help` need not wait for it.
    import psycopg
    from psycopg_pool import PoolTimeout

    try:
        yield
    except (psycopg.OperationalError, PoolTimeout) as error:
        raise _ended(f"the database does not answer ({_line(error)}): see `alpharay stack status`") from error
    except psycopg.errors.UndefinedTable as error:
        raise _ended(f"{_line(error)}: the database is empty, run `alpharay stack up`, which migrates it") from error
    except (ValueError, LookupError, RuntimeError, OSError) as error:
        raise _ended(_line(error)) from error


def _line(error: Exception) -> str:
    text = str(error) if isinstance(error, OSError) or not error.args else str(error.args[0])
    return text.strip().partition("\n")[0]


def _ended(text: str) -> typer.Exit:
    typer.secho(f"error: {text}", fg="red", err=True)
    return typer.Exit(CANNOT_RUN)
