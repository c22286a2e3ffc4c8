"""Which trusted strategies speak: their scores, each market's ensemble, and who was deployed when."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STRATEGY_SCORES = """
CREATE TABLE strategy_scores (
    strategy_id   text COLLATE "C" PRIMARY KEY REFERENCES strategies,
    decided_at    bigint           NOT NULL,
    confidence    double precision NOT NULL,
    performance   double precision NOT NULL,
    frequency     double precision NOT NULL,
    recency       double precision NOT NULL,
    unseen_days   integer          NOT NULL,
    unseen_trades integer          NOT NULL,
    scored_at     timestamptz      NOT NULL DEFAULT now()
)
"""

ENSEMBLES = """
CREATE TABLE ensembles (
    exchange         text COLLATE "C" NOT NULL,
    symbol           text COLLATE "C" NOT NULL,
    timeframe        text COLLATE "C" NOT NULL,
    decided_at       bigint           NOT NULL,
    members          jsonb            NOT NULL,
    quality          double precision NOT NULL,
    mean_correlation double precision NOT NULL,
    chosen_at        timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (exchange, symbol, timeframe)
)
"""

# Times are those of the candles: a replay of last year deploys last year.
DEPLOYMENTS = """
CREATE TABLE deployments (
    strategy_id     text COLLATE "C" NOT NULL REFERENCES strategies,
    deployed_at     bigint           NOT NULL,
    deploy_reason   text             NOT NULL,
    withdrawn_at    bigint           CHECK (withdrawn_at >= deployed_at),
    withdraw_reason text,
    PRIMARY KEY (strategy_id, deployed_at)
)
"""

DEPLOYMENTS_OPEN = "CREATE UNIQUE INDEX deployments_open ON deployments (strategy_id) WHERE withdrawn_at IS NULL"


def upgrade() -> None:
    """Create the tables and their index."""
    for statement in (STRATEGY_SCORES, ENSEMBLES, DEPLOYMENTS, DEPLOYMENTS_OPEN):
        op.execute(statement)
