"""Signal models: their bytes with a checksum, what they are worth, and the one of each market that speaks."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# `model_id` is the hash of what decides the model: market, candles, settings, features. The checksum is compared again
# by every reader; here it keeps a writer from storing bytes that are not those it names.
SIGNAL_MODELS = """
CREATE TABLE signal_models (
    model_id      text COLLATE "C" PRIMARY KEY,
    exchange      text COLLATE "C" NOT NULL,
    symbol        text COLLATE "C" NOT NULL,
    timeframe     text COLLATE "C" NOT NULL,
    feature_set   text COLLATE "C" NOT NULL,
    trained_from  bigint           NOT NULL,
    trained_until bigint           NOT NULL CHECK (trained_until >= trained_from),
    metrics       jsonb            NOT NULL,
    status        text             NOT NULL CHECK (status IN ('CANDIDATE', 'ACTIVE', 'REJECTED', 'RETIRED')),
    reason        text             NOT NULL,
    checksum      text COLLATE "C" NOT NULL,
    model         bytea            NOT NULL CHECK (octet_length(model) BETWEEN 1 AND 67108864),
    created_at    timestamptz      NOT NULL DEFAULT clock_timestamp(),
    activated_at  timestamptz,
    retired_at    timestamptz,
    CONSTRAINT signal_models_checksum CHECK (checksum = encode(sha256(model), 'hex')),
    CONSTRAINT signal_models_activated CHECK (status <> 'ACTIVE' OR activated_at IS NOT NULL)
)
"""

ONE_ACTIVE = """
CREATE UNIQUE INDEX signal_models_one_active ON signal_models (exchange, symbol, timeframe) WHERE status = 'ACTIVE'
"""

BY_MARKET = "CREATE INDEX signal_models_by_market ON signal_models (exchange, symbol, timeframe, created_at DESC)"


def upgrade() -> None:
    """Create the table."""
    for statement in (SIGNAL_MODELS, ONE_ACTIVE, BY_MARKET):
        op.execute(statement)
