"""Long runs that yield and resume, fair shares between symbols, and the queue of backtests.

A claim is fenced by `lease_epoch`, which grows with every claim; `attempts` goes on counting only the claims whose
worker vanished, so that a run may be sliced as often as it likes. The generated columns are what a claim groups by;
they follow from the request, so code that does not know them goes on working.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

DISCOVERY_RUNS = """
ALTER TABLE discovery_runs
    ADD COLUMN lease_epoch bigint      NOT NULL DEFAULT 0,
    ADD COLUMN slices      integer     NOT NULL DEFAULT 0,
    ADD COLUMN queued_at   timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN exchange  text COLLATE "C" GENERATED ALWAYS AS (request ->> 'exchange') STORED,
    ADD COLUMN symbol    text COLLATE "C" GENERATED ALWAYS AS (request ->> 'symbol') STORED,
    ADD COLUMN timeframe text COLLATE "C" GENERATED ALWAYS AS (request ->> 'timeframe') STORED,
    ADD COLUMN end_time  bigint           GENERATED ALWAYS AS ((request ->> 'end_time')::bigint) STORED
"""

# What was queued before keeps its place: adding the column gave all of them one time.
DISCOVERY_RUNS_PLACES = "UPDATE discovery_runs SET queued_at = created_at WHERE status IN ('QUEUED', 'RUNNING')"

DISCOVERY_RUNS_BY_MARKET = """
CREATE INDEX discovery_runs_by_market ON discovery_runs (exchange, symbol, priority DESC, queued_at)
WHERE status IN ('QUEUED', 'RUNNING')
"""

# The newest state of a search that is not finished, written only under the lease of `lease_epoch`.
DISCOVERY_CHECKPOINTS = """
CREATE TABLE discovery_checkpoints (
    run_id      text COLLATE "C" PRIMARY KEY REFERENCES discovery_runs,
    lease_epoch bigint           NOT NULL,
    generation  integer          NOT NULL CHECK (generation >= 0),
    content     bytea            NOT NULL,
    checksum    text             NOT NULL,
    updated_at  timestamptz      NOT NULL DEFAULT now()
)
"""

BACKTESTS = """
CREATE TABLE backtests (
    request_id  text COLLATE "C" PRIMARY KEY,
    request     jsonb            NOT NULL,
    status      text             NOT NULL DEFAULT 'QUEUED'
                CHECK (status IN ('QUEUED', 'RUNNING', 'DONE', 'FAILED', 'CANCELLED')),
    priority    integer          NOT NULL DEFAULT 0,
    attempts    integer          NOT NULL DEFAULT 0,
    lease_epoch bigint           NOT NULL DEFAULT 0,
    lease_owner text,
    lease_until timestamptz,
    result      jsonb,
    error       text,
    created_at  timestamptz      NOT NULL DEFAULT now(),
    queued_at   timestamptz      NOT NULL DEFAULT now(),
    started_at  timestamptz,
    finished_at timestamptz,
    exchange  text COLLATE "C" GENERATED ALWAYS AS (request ->> 'exchange') STORED,
    symbol    text COLLATE "C" GENERATED ALWAYS AS (request ->> 'symbol') STORED,
    timeframe text COLLATE "C" GENERATED ALWAYS AS (request ->> 'timeframe') STORED,
    end_time  bigint           GENERATED ALWAYS AS ((request ->> 'end_time')::bigint) STORED
)
"""

BACKTESTS_BY_MARKET = """
CREATE INDEX backtests_by_market ON backtests (exchange, symbol, priority DESC, queued_at)
WHERE status IN ('QUEUED', 'RUNNING')
"""

# Whose turn it is: of the symbols with open work, the one that was given the least worker time. A symbol that comes new
# or comes back starts level with the others, so this is a virtual clock, not a sum to report.
SERVED_SYMBOLS = """
CREATE TABLE served_symbols (
    queue    text COLLATE "C" NOT NULL,
    exchange text COLLATE "C" NOT NULL,
    symbol   text COLLATE "C" NOT NULL,
    served_s double precision NOT NULL,
    PRIMARY KEY (queue, exchange, symbol)
)
"""


def upgrade() -> None:
    """Add what slices, checkpoints, fair shares and queued backtests need."""
    for statement in (
        DISCOVERY_RUNS,
        DISCOVERY_RUNS_PLACES,
        DISCOVERY_RUNS_BY_MARKET,
        DISCOVERY_CHECKPOINTS,
        BACKTESTS,
        BACKTESTS_BY_MARKET,
        SERVED_SYMBOLS,
    ):
        op.execute(statement)
