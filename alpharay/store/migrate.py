"""Bring a database's schema to the newest revision; safe to run from many processes at once."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.pool import NullPool

# Any constant will do; it only has to be the same in every process that migrates, and used for nothing else.
MIGRATION_LOCK = 7_274_519_001
LOCK_TIMEOUT_S = 60


def migrate(database_url: str, revision: str = "head") -> str:
    """Apply the missing migrations up to `revision`, in order, and return the schema's revision.

    One process migrates at a time; the others wait for it, at most `LOCK_TIMEOUT_S` (then
    psycopg.errors.LockNotAvailable, wrapped by SQLAlchemy's OperationalError). A statement that would wait
    longer than that for a busy table fails instead of blocking everyone behind it.
    """
    engine = create_engine(_driver_url(database_url), poolclass=NullPool, connect_args={"connect_timeout": 10})
    with engine.connect() as connection:
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'"))
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
        connection.commit()
        try:
            command.upgrade(_config(connection), revision)
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": MIGRATION_LOCK})
            connection.commit()
        return _revision(connection, newest_revision() if revision == "head" else revision)


def newest_revision() -> str:
    """Return the revision that this code needs."""
    head = ScriptDirectory.from_config(_config(None)).get_current_head()
    assert head is not None, "alpharay.store.migrations has no revision"
    return head


def _driver_url(database_url: str) -> str:
    return make_url(database_url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", "alpharay.store:migrations")
    config.attributes["connection"] = connection
    return config


def _revision(connection: Connection, expected: str) -> str:
    revision = MigrationContext.configure(connection).get_current_revision()
    assert revision == expected, f"migration ended at {revision}, expected {expected}"
    return revision
