"""What a halt stops, and each account's equity minute by minute."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Code that does not know the scope takes every halt for one of everything, which is the safe side.
HALT_SCOPE = """
ALTER TABLE trading_switches
ADD COLUMN halt_scope text NOT NULL DEFAULT 'ALL' CHECK (halt_scope IN ('ALL', 'INCREASES'))
"""

# `time_ms` is a whole minute, UTC: a mark is the first that was taken in it. `priced_ms` is when the oldest close that
# it rests on closed; none when nothing was held. Profit is equity less what was paid in.
EQUITY_MARKS = """
CREATE TABLE equity_marks (
    account_id text COLLATE "C" NOT NULL REFERENCES accounts,
    time_ms    bigint           NOT NULL CHECK (time_ms % 60000 = 0),
    equity     numeric(28, 8)   NOT NULL,
    profit     numeric(28, 8)   NOT NULL,
    priced_ms  bigint,
    PRIMARY KEY (account_id, time_ms)
)
"""


def upgrade() -> None:
    """Add the column and the table."""
    op.execute(HALT_SCOPE)
    op.execute(EQUITY_MARKS)
