"""Who executes an account's orders, and what a paper broker knows.

The paper broker's tables are the outside world: it writes them on connections of its own, never in an executor's
transaction, so that a crash between the two is what it would be with a real broker.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# `epoch` grows with every taking: an executor that wakes up late finds another one.
EXECUTOR_LEASES = """
CREATE TABLE executor_leases (
    account_id  text COLLATE "C" PRIMARY KEY REFERENCES accounts,
    owner       text             NOT NULL,
    epoch       bigint           NOT NULL CHECK (epoch >= 1),
    lease_until timestamptz      NOT NULL
)
"""

# `next_open_time` is that of the first candle that has not been looked at for fills.
PAPER_ORDERS = """
CREATE TABLE paper_orders (
    account_id      text COLLATE "C" NOT NULL,
    client_order_id text COLLATE "C" NOT NULL,
    symbol          text COLLATE "C" NOT NULL,
    side            text             NOT NULL,
    kind            text             NOT NULL,
    quantity        numeric(28, 12)  NOT NULL,
    limit_price     numeric,
    status          text             NOT NULL
                    CHECK (status IN ('open', 'partially_filled', 'filled', 'rejected', 'cancelled')),
    reason          text,
    next_open_time  bigint           NOT NULL,
    accepted_at     timestamptz      NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account_id, client_order_id)
)
"""

PAPER_FILLS = """
CREATE TABLE paper_fills (
    account_id      text COLLATE "C" NOT NULL,
    fill_id         text COLLATE "C" NOT NULL,
    client_order_id text COLLATE "C" NOT NULL,
    quantity        numeric(28, 12)  NOT NULL,
    price           numeric          NOT NULL,
    fee             numeric          NOT NULL,
    time_ms         bigint           NOT NULL,
    PRIMARY KEY (account_id, fill_id),
    FOREIGN KEY (account_id, client_order_id) REFERENCES paper_orders
)
"""

PAPER_FILLS_BY_ORDER = "CREATE INDEX paper_fills_by_order ON paper_fills (account_id, client_order_id)"
PAPER_FILLS_BY_TIME = "CREATE INDEX paper_fills_by_time ON paper_fills (account_id, time_ms)"


def upgrade() -> None:
    """Create the leases of executors and the tables of the paper broker."""
    for statement in (EXECUTOR_LEASES, PAPER_ORDERS, PAPER_FILLS, PAPER_FILLS_BY_ORDER, PAPER_FILLS_BY_TIME):
        op.execute(statement)
