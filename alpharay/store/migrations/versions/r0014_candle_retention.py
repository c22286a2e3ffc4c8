"""From when on each exchange's short candles are kept: what retention has ended is not fetched again."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# Of candles shorter than `shorter_than` (ms) those that open before `kept_from` (UTC ms) are ended; none where it is
# null. `finished_at` is when a run of retention last went through to its end.
CANDLE_RETENTION = """
CREATE TABLE candle_retention (
    exchange     text COLLATE "C" PRIMARY KEY,
    kept_from    bigint,
    shorter_than bigint      NOT NULL CHECK (shorter_than > 0),
    finished_at  timestamptz
)
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(CANDLE_RETENTION)
