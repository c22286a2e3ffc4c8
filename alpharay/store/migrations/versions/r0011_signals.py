"""The signals that were given, and what became of each.

A signal names the strategies behind it and what each asked for: the same few sets over and over, so they are stored
once. `settled` takes a signal out of the index of those whose outcome may still change.
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

STRATEGY_SETS = """
CREATE TABLE strategy_sets (
    set_id         text COLLATE "C" PRIMARY KEY,
    strategy_ids   text[]           NOT NULL,
    strategy_sides smallint[]       CHECK (cardinality(strategy_sides) = cardinality(strategy_ids)),
    used_at        timestamptz      NOT NULL DEFAULT now()
)
"""

STRATEGY_SETS_BY_AGE = "CREATE INDEX strategy_sets_by_age ON strategy_sets (used_at)"

SIGNALS = """
CREATE TABLE signals (
    signal_id      text COLLATE "C" PRIMARY KEY,
    request_id     text             NOT NULL,
    correlation_id text,
    exchange       text COLLATE "C" NOT NULL,
    symbol         text COLLATE "C" NOT NULL,
    timeframe      text COLLATE "C" NOT NULL,
    action         text             NOT NULL CHECK (action IN ('BUY', 'SELL', 'HOLD')),
    confidence     double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    price          double precision NOT NULL CHECK (price > 0),
    candle_time    bigint           NOT NULL,
    candle_close   double precision NOT NULL,
    set_id         text COLLATE "C" NOT NULL,
    exchange_time  bigint           NOT NULL,
    generated_at   bigint           NOT NULL,
    stored_at      timestamptz      NOT NULL DEFAULT now(),
    settled        boolean          NOT NULL DEFAULT false
)
"""

SIGNALS_BY_MARKET = "CREATE INDEX signals_by_market ON signals (exchange, symbol, timeframe, exchange_time)"

SIGNALS_BY_AGE = "CREATE INDEX signals_by_age ON signals (stored_at)"

SIGNALS_OPEN = """
CREATE INDEX signals_open ON signals (exchange, symbol, timeframe, exchange_time) WHERE NOT settled
"""

SIGNAL_OUTCOMES = """
CREATE TABLE signal_outcomes (
    signal_id     text COLLATE "C" PRIMARY KEY REFERENCES signals ON DELETE CASCADE,
    ending        text             NOT NULL CHECK (ending IN ('HORIZON', 'OPPOSITE', 'LIQUIDATED', 'MISSED')),
    entry_time    bigint,
    entry_price   double precision,
    exit_time     bigint,
    exit_price    double precision,
    gross_return  double precision,
    net_return    double precision,
    horizon       integer          NOT NULL CHECK (horizon > 0),
    fee           double precision NOT NULL,
    slippage      double precision NOT NULL,
    worked_out_at timestamptz      NOT NULL DEFAULT now(),
    CHECK ((ending = 'MISSED') = (net_return IS NULL))
)
"""

SIGNAL_OUTCOMES_BY_CHANGE = "CREATE INDEX signal_outcomes_by_change ON signal_outcomes (worked_out_at)"


def upgrade() -> None:
    """Create the tables and what they are looked through by."""
    for statement in (
        STRATEGY_SETS,
        STRATEGY_SETS_BY_AGE,
        SIGNALS,
        SIGNALS_BY_MARKET,
        SIGNALS_BY_AGE,
        SIGNALS_OPEN,
        SIGNAL_OUTCOMES,
        SIGNAL_OUTCOMES_BY_CHANGE,
    ):
        op.execute(statement)
