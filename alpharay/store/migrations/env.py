"""Alembic's entry point: runs the revisions on the connection that `alpharay.store.migrate` hands over."""

from __future__ import annotations

from alembic import context

# Each revision is its own transaction, so that a long history does not hold its locks to the end.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=None,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
