"""Validation: its records, the stream of tests, the alpha ledger, and the steps that a strategy's status may take.

The ledger's exclusion constraint needs no extension: a market is a range of one number, so that both of its operators
are those of ranges, which every PostgreSQL has.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATUSES = """
ALTER TABLE strategies ADD CONSTRAINT strategies_status_known
CHECK (status IN ('CANDIDATE', 'VALIDATED', 'DEPLOYED', 'RETIRED', 'REJECTED', 'INSUFFICIENT'))
"""

# A validation of one strategy on the candles known until some time. `test_id` is the same for every attempt with the
# same strategy, window and settings: what was tested once is one test, however often it is looked at again.
VALIDATIONS = """
CREATE TABLE validations (
    validation_id text COLLATE "C" PRIMARY KEY,
    test_id       text COLLATE "C" NOT NULL,
    strategy_id   text COLLATE "C" NOT NULL REFERENCES strategies,
    run_id        text COLLATE "C",
    configuration text COLLATE "C" NOT NULL,
    known_until   bigint           NOT NULL,
    status        text             NOT NULL DEFAULT 'RUNNING'
                  CHECK (status IN ('RUNNING', 'VALIDATED', 'REJECTED', 'INSUFFICIENT', 'FAILED')),
    attempts      integer          NOT NULL DEFAULT 1,
    lease_owner   text,
    lease_until   timestamptz,
    progress      jsonb,
    summary       text,
    reasons       jsonb,
    evidence      jsonb,
    error         text,
    started_at    timestamptz      NOT NULL DEFAULT now(),
    finished_at   timestamptz,
    CHECK ((status IN ('VALIDATED', 'REJECTED', 'INSUFFICIENT')) = (evidence IS NOT NULL))
)
"""

VALIDATIONS_RUNNING = "CREATE UNIQUE INDEX validations_running ON validations (strategy_id) WHERE status = 'RUNNING'"
VALIDATIONS_BY_STRATEGY = "CREATE INDEX validations_by_strategy ON validations (strategy_id, started_at DESC)"

# The stream of p-values whose share of false discoveries is controlled, in the order in which they came.
VALIDATION_TESTS = """
CREATE TABLE validation_tests (
    position    bigint           NOT NULL UNIQUE CHECK (position >= 1),
    test_id     text COLLATE "C" PRIMARY KEY,
    strategy_id text COLLATE "C" NOT NULL REFERENCES strategies,
    p_value     double precision NOT NULL CHECK (p_value >= 0 AND p_value <= 1),
    level       double precision NOT NULL,
    discovery   boolean          NOT NULL GENERATED ALWAYS AS (p_value <= level) STORED,
    tested_at   timestamptz      NOT NULL DEFAULT now()
)
"""

LEDGER_MARKETS = """
CREATE TABLE alpha_ledger_markets (
    market_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    exchange  text COLLATE "C" NOT NULL,
    symbol    text COLLATE "C" NOT NULL,
    UNIQUE (exchange, symbol)
)
"""

ALPHA_LEDGER = """
CREATE TABLE alpha_ledger (
    test_id     text COLLATE "C" PRIMARY KEY,
    strategy_id text COLLATE "C" NOT NULL REFERENCES strategies,
    market_id   bigint           NOT NULL REFERENCES alpha_ledger_markets,
    start_time  bigint           NOT NULL,
    end_time    bigint           NOT NULL CHECK (end_time > start_time),
    drawn_at    timestamptz      NOT NULL DEFAULT now(),
    market      int8range        GENERATED ALWAYS AS (int8range(market_id, market_id + 1)) STORED,
    span        int8range        GENERATED ALWAYS AS (int8range(start_time, end_time)) STORED,
    CONSTRAINT alpha_ledger_used_once EXCLUDE USING gist (market WITH &&, span WITH &&)
)
"""

TRANSITIONS = """
CREATE TABLE strategy_transitions (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    strategy_id   text COLLATE "C" NOT NULL REFERENCES strategies,
    from_status   text             NOT NULL,
    to_status     text             NOT NULL,
    actor         text             NOT NULL,
    reason        text             NOT NULL,
    validation_id text COLLATE "C" REFERENCES validations,
    changed_at    timestamptz      NOT NULL DEFAULT now()
)
"""

TRANSITIONS_BY_STRATEGY = "CREATE INDEX strategy_transitions_by_strategy ON strategy_transitions (strategy_id, id)"

STEPS = """
CREATE TABLE strategy_status_steps (
    from_status text NOT NULL,
    to_status   text NOT NULL,
    PRIMARY KEY (from_status, to_status)
)
"""

LEGAL_STEPS = """
INSERT INTO strategy_status_steps VALUES
    ('CANDIDATE', 'VALIDATED'), ('CANDIDATE', 'REJECTED'), ('CANDIDATE', 'INSUFFICIENT'), ('CANDIDATE', 'RETIRED'),
    ('INSUFFICIENT', 'VALIDATED'), ('INSUFFICIENT', 'REJECTED'), ('INSUFFICIENT', 'RETIRED'),
    ('VALIDATED', 'DEPLOYED'), ('VALIDATED', 'RETIRED'),
    ('DEPLOYED', 'VALIDATED'), ('DEPLOYED', 'RETIRED')
"""

# Who and why travel as settings of the transaction; whoever updates by hand leaves the name of the database's user.
TRANSITION_FUNCTION = """
CREATE FUNCTION note_strategy_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM strategy_status_steps WHERE from_status = OLD.status AND to_status = NEW.status
    ) THEN
        RAISE EXCEPTION 'strategy % cannot go from % to %', OLD.strategy_id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO strategy_transitions (strategy_id, from_status, to_status, actor, reason, validation_id)
    VALUES (
        OLD.strategy_id, OLD.status, NEW.status,
        coalesce(nullif(current_setting('alpharay.actor', true), ''), session_user),
        coalesce(nullif(current_setting('alpharay.reason', true), ''), 'no reason was given'),
        nullif(current_setting('alpharay.validation_id', true), '')
    );
    RETURN NEW;
END
$$
"""

TRANSITION_TRIGGER = """
CREATE TRIGGER strategy_transition BEFORE UPDATE OF status ON strategies
FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION note_strategy_transition()
"""


def upgrade() -> None:
    """Add what validation keeps."""
    for statement in (
        STATUSES,
        VALIDATIONS,
        VALIDATIONS_RUNNING,
        VALIDATIONS_BY_STRATEGY,
        VALIDATION_TESTS,
        LEDGER_MARKETS,
        ALPHA_LEDGER,
        TRANSITIONS,
        TRANSITIONS_BY_STRATEGY,
        STEPS,
        LEGAL_STEPS,
        TRANSITION_FUNCTION,
        TRANSITION_TRIGGER,
    ):
        op.execute(statement)
