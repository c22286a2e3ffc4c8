"""Risk: the newest state of each fitted model; each account's kill switch, breaker and limits, and who changed them."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# `against` is the second symbol of a pair, empty for models of one market. `decided_at` is the open time of the newest
# candle that the state has seen (UTC ms).
RISK_MODELS = """
CREATE TABLE risk_models (
    kind        text COLLATE "C" NOT NULL CHECK (kind IN ('volatility', 'change_points', 'hedge_ratio')),
    exchange    text COLLATE "C" NOT NULL,
    symbol      text COLLATE "C" NOT NULL,
    against     text COLLATE "C" NOT NULL DEFAULT '',
    timeframe   text COLLATE "C" NOT NULL,
    decided_at  bigint           NOT NULL,
    version     integer          NOT NULL,
    state       jsonb            NOT NULL,
    diagnostics jsonb            NOT NULL,
    fitted_at   timestamptz      NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (kind, exchange, symbol, against, timeframe),
    CHECK ((kind = 'hedge_ratio') = (against <> ''))
)
"""

# One row an account, and one, '*', for all of them. Whoever creates or releases an order locks the account's row and
# that of '*' FOR SHARE; a change locks it FOR UPDATE. So each release is before a halt or sees it. No limits: defaults.
TRADING_SWITCHES = """
CREATE TABLE trading_switches (
    account text COLLATE "C" PRIMARY KEY CHECK (account = '*' OR account ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    halted  boolean NOT NULL DEFAULT false,
    phase   text    NOT NULL DEFAULT 'closed' CHECK (phase IN ('closed', 'open', 'half-open')),
    breaker jsonb,
    limits  jsonb
)
"""

TRADING_EVENTS = """
CREATE TABLE trading_events (
    position   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id   text COLLATE "C" NOT NULL UNIQUE,
    account    text COLLATE "C" NOT NULL REFERENCES trading_switches,
    kind       text             NOT NULL CHECK (kind IN ('OPEN', 'HALT', 'RESUME', 'LIMITS', 'BREAKER')),
    actor      text             NOT NULL CHECK (actor <> ''),
    reason     text             NOT NULL CHECK (reason <> ''),
    details    jsonb,
    changed_at timestamptz      NOT NULL DEFAULT clock_timestamp()
)
"""

TRADING_EVENTS_BY_ACCOUNT = "CREATE INDEX trading_events_by_account ON trading_events (account, position DESC)"

REFUSE_CHANGE = """
CREATE FUNCTION refuse_change_of_trading_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'trading_events is only appended to: % is refused', TG_OP USING ERRCODE = 'restrict_violation';
END $$
"""

APPEND_ONLY = """
CREATE TRIGGER trading_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON trading_events
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_trading_events()
"""

FIRST_ACCOUNTS = "INSERT INTO trading_switches (account) VALUES ('*'), ('paper')"


def upgrade() -> None:
    """Create the tables, and the switches of all accounts and of the paper account."""
    for statement in (
        RISK_MODELS,
        TRADING_SWITCHES,
        TRADING_EVENTS,
        TRADING_EVENTS_BY_ACCOUNT,
        REFUSE_CHANGE,
        APPEND_ONLY,
        FIRST_ACCOUNTS,
    ):
        op.execute(statement)
