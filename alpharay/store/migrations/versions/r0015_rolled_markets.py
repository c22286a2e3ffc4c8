"""Which markets' candles are made from smaller ones, as these come."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# Candles that open before `since` (UTC ms) are the exchange's own and are left alone; null where none is. The first
# filling goes on from `filling_from` (UTC ms); null when it is done. While nobody wants a market it stands still.
ROLLED_MARKETS = """
CREATE TABLE rolled_markets (
    exchange         text COLLATE "C" NOT NULL,
    symbol           text COLLATE "C" NOT NULL,
    timeframe        text COLLATE "C" NOT NULL,
    source_timeframe text COLLATE "C" NOT NULL CHECK (source_timeframe <> timeframe),
    since            bigint,
    filling_from     bigint,
    wanted           boolean          NOT NULL DEFAULT true,
    wanted_at        timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (exchange, symbol, timeframe)
)
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(ROLLED_MARKETS)
