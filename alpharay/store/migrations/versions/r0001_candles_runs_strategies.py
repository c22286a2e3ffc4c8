"""The first tables: candles and their consumers' offsets, discovery runs, strategies, outbox.

Revisions only add: old code must keep working on the new schema during a rollout, so there is no downgrade.
Text that is compared for identity is COLLATE "C": byte order, half the cost of a locale's in the index.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

CANDLES = """
CREATE TABLE candles (
    exchange  text COLLATE "C"  NOT NULL,
    symbol    text COLLATE "C"  NOT NULL,
    timeframe text COLLATE "C"  NOT NULL,
    open_time bigint            NOT NULL,
    open      double precision  NOT NULL,
    high      double precision  NOT NULL,
    low       double precision  NOT NULL,
    close     double precision  NOT NULL,
    volume    double precision  NOT NULL,
    revision  bigint            NOT NULL,
    PRIMARY KEY (exchange, symbol, timeframe, open_time)
) PARTITION BY RANGE (open_time)
"""

CONSUMER_OFFSETS = """
CREATE TABLE consumer_offsets (
    consumer    text COLLATE "C" NOT NULL,
    topic_id    text COLLATE "C" NOT NULL,
    partition   integer          NOT NULL,
    next_offset bigint           NOT NULL CHECK (next_offset >= 0),
    topic       text             NOT NULL,
    updated_at  timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, topic_id, partition)
)
"""

# Ranges that the exchange, asked again, has no candle for; repair does not ask for them for ever.
ABSENT_CANDLES = """
CREATE TABLE absent_candles (
    exchange     text COLLATE "C" NOT NULL,
    symbol       text COLLATE "C" NOT NULL,
    timeframe    text COLLATE "C" NOT NULL,
    start_time   bigint           NOT NULL,
    end_time     bigint           NOT NULL CHECK (end_time > start_time),
    confirmed_at timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (exchange, symbol, timeframe, start_time)
)
"""

# The markets to ingest, and how far each has come; the heartbeat's age is the ingestion's liveness.
INGESTED_MARKETS = """
CREATE TABLE ingested_markets (
    exchange       text COLLATE "C" NOT NULL,
    symbol         text COLLATE "C" NOT NULL,
    timeframe      text COLLATE "C" NOT NULL,
    start_time     bigint           NOT NULL,
    enabled        boolean          NOT NULL DEFAULT true,
    ingestor       text,
    complete_until bigint,
    asked_until    bigint,
    published_rows bigint           NOT NULL DEFAULT 0,
    refused_rows   bigint           NOT NULL DEFAULT 0,
    error          text,
    wanted_at      timestamptz      NOT NULL DEFAULT now(),
    heartbeat_at   timestamptz,
    PRIMARY KEY (exchange, symbol, timeframe)
)
"""

DISCOVERY_RUNS = """
CREATE TABLE discovery_runs (
    run_id      text COLLATE "C" PRIMARY KEY,
    request     jsonb            NOT NULL,
    status      text             NOT NULL DEFAULT 'QUEUED'
                CHECK (status IN ('QUEUED', 'RUNNING', 'DONE', 'FAILED', 'CANCELLED')),
    priority    integer          NOT NULL DEFAULT 0,
    attempts    integer          NOT NULL DEFAULT 0,
    lease_owner text,
    lease_until timestamptz,
    progress    jsonb,
    error       text,
    created_at  timestamptz      NOT NULL DEFAULT now(),
    started_at  timestamptz,
    finished_at timestamptz
)
"""

# What a worker looks through when it claims: the runs not yet finished, most urgent and oldest first.
DISCOVERY_RUNS_OPEN = """
CREATE INDEX discovery_runs_open ON discovery_runs (priority DESC, created_at)
WHERE status IN ('QUEUED', 'RUNNING')
"""

STRATEGIES = """
CREATE TABLE strategies (
    strategy_id         text COLLATE "C" PRIMARY KEY,
    exchange            text COLLATE "C" NOT NULL,
    symbol              text COLLATE "C" NOT NULL,
    timeframe           text COLLATE "C" NOT NULL,
    strategy_name       text             NOT NULL,
    strategy            jsonb            NOT NULL,
    parameters          jsonb            NOT NULL,
    objective           text,
    score               double precision NOT NULL,
    in_sample           jsonb            NOT NULL,
    out_of_sample       jsonb            NOT NULL,
    start_time          bigint           NOT NULL,
    end_time            bigint           NOT NULL,
    train_end_time      bigint           NOT NULL,
    status              text             NOT NULL DEFAULT 'CANDIDATE',
    first_discovered_at timestamptz      NOT NULL DEFAULT now(),
    last_evaluated_at   timestamptz      NOT NULL DEFAULT now()
)
"""

STRATEGIES_BY_MARKET = "CREATE INDEX strategies_by_market ON strategies (symbol, timeframe, score DESC)"

STRATEGY_EVIDENCE = """
CREATE TABLE strategy_evidence (
    strategy_id    text COLLATE "C" NOT NULL REFERENCES strategies,
    run_id         text COLLATE "C" NOT NULL,
    objective      text,
    score          double precision NOT NULL,
    in_sample      jsonb            NOT NULL,
    out_of_sample  jsonb            NOT NULL,
    start_time     bigint           NOT NULL,
    end_time       bigint           NOT NULL,
    train_end_time bigint           NOT NULL,
    evaluated_at   timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (strategy_id, run_id)
)
"""

OUTBOX = """
CREATE TABLE outbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id   text COLLATE "C" NOT NULL UNIQUE,
    topic        text             NOT NULL,
    key          text             NOT NULL,
    value        text             NOT NULL,
    headers      jsonb            NOT NULL DEFAULT '{}',
    created_at   timestamptz      NOT NULL DEFAULT now(),
    published_at timestamptz
)
"""

OUTBOX_UNPUBLISHED = "CREATE INDEX outbox_unpublished ON outbox (id) WHERE published_at IS NULL"
OUTBOX_PUBLISHED = "CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL"

CONSUMED_MESSAGES = """
CREATE TABLE consumed_messages (
    consumer    text COLLATE "C" NOT NULL,
    message_id  text COLLATE "C" NOT NULL,
    consumed_at timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, message_id)
)
"""

CONSUMED_MESSAGES_BY_AGE = "CREATE INDEX consumed_messages_by_age ON consumed_messages (consumed_at)"


def upgrade() -> None:
    """Create the tables and their indexes."""
    for statement in (
        CANDLES,
        CONSUMER_OFFSETS,
        ABSENT_CANDLES,
        INGESTED_MARKETS,
        DISCOVERY_RUNS,
        DISCOVERY_RUNS_OPEN,
        STRATEGIES,
        STRATEGIES_BY_MARKET,
        STRATEGY_EVIDENCE,
        OUTBOX,
        OUTBOX_UNPUBLISHED,
        OUTBOX_PUBLISHED,
        CONSUMED_MESSAGES,
        CONSUMED_MESSAGES_BY_AGE,
    ):
        op.execute(statement)
