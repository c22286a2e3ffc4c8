"""Each account's profit at the start of the UTC day and at its best: what limits on losses are measured from."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# Profit is equity less what was paid in, so that money paid in or out is neither a gain nor a loss.
ACCOUNT_EQUITY = """
CREATE TABLE account_equity (
    account_id       text COLLATE "C" PRIMARY KEY REFERENCES accounts,
    marked_ms        bigint           NOT NULL,
    equity           numeric(28, 8)   NOT NULL,
    profit           numeric(28, 8)   NOT NULL,
    day              bigint           NOT NULL,
    day_start_profit numeric(28, 8)   NOT NULL,
    peak_profit      numeric(28, 8)   NOT NULL CHECK (peak_profit >= profit)
)
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(ACCOUNT_EQUITY)
