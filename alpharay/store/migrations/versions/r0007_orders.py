"""Orders, the steps that they took, and their fills.

An order's body never changes; its status takes only the steps that are rows of a table, and each step is written down.
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ORDERS = """
CREATE TABLE orders (
    order_id        text COLLATE "C" PRIMARY KEY CHECK (length(order_id) BETWEEN 1 AND 64),
    account_id      text COLLATE "C" NOT NULL REFERENCES accounts,
    symbol          text COLLATE "C" NOT NULL,
    side            text             NOT NULL CHECK (side IN ('buy', 'sell')),
    kind            text             NOT NULL CHECK (kind IN ('market', 'limit')),
    quantity        numeric(28, 12)  NOT NULL CHECK (quantity > 0),
    limit_price     numeric          CHECK (limit_price > 0),
    expires_ms      bigint,
    correlation_id  text,
    status          text             NOT NULL DEFAULT 'intended',
    revision        bigint           NOT NULL DEFAULT 1,
    filled_quantity numeric(28, 12)  NOT NULL DEFAULT 0 CHECK (filled_quantity BETWEEN 0 AND quantity),
    reason          text,
    cancel_wanted   boolean          NOT NULL DEFAULT false,
    sequence        bigint           GENERATED ALWAYS AS IDENTITY,
    created_at      timestamptz      NOT NULL DEFAULT clock_timestamp(),
    changed_at      timestamptz      NOT NULL DEFAULT clock_timestamp(),
    CHECK ((kind = 'limit') = (limit_price IS NOT NULL)),
    CHECK ((status = 'filled') = (filled_quantity = quantity)),
    CHECK (status <> 'partially_filled' OR filled_quantity > 0),
    CHECK (status NOT IN ('intended', 'sending', 'open', 'rejected') OR filled_quantity = 0)
)
"""

ORDERS_UNDER_WAY = """
CREATE INDEX orders_under_way ON orders (account_id, status, sequence)
WHERE status IN ('intended', 'sending', 'open', 'partially_filled')
"""

ORDERS_BY_ACCOUNT = "CREATE INDEX orders_by_account ON orders (account_id, sequence DESC)"

ORDER_TRANSITIONS = """
CREATE TABLE order_transitions (
    order_id    text COLLATE "C" NOT NULL REFERENCES orders,
    revision    bigint           NOT NULL,
    from_status text             NOT NULL,
    to_status   text             NOT NULL,
    reason      text,
    changed_at  timestamptz      NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (order_id, revision)
)
"""

STEPS = """
CREATE TABLE order_status_steps (
    from_status text NOT NULL,
    to_status   text NOT NULL,
    PRIMARY KEY (from_status, to_status)
)
"""

# From sending back to intended: the broker was asked and has never had the order.
LEGAL_STEPS = """
INSERT INTO order_status_steps VALUES
    ('intended', 'sending'), ('intended', 'cancelled'),
    ('sending', 'intended'), ('sending', 'open'), ('sending', 'partially_filled'), ('sending', 'filled'),
    ('sending', 'rejected'), ('sending', 'cancelled'),
    ('open', 'partially_filled'), ('open', 'filled'), ('open', 'rejected'), ('open', 'cancelled'),
    ('partially_filled', 'filled'), ('partially_filled', 'cancelled')
"""

STEP_FUNCTION = """
CREATE FUNCTION note_order_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.order_id, OLD.account_id, OLD.symbol, OLD.side, OLD.kind, OLD.quantity, OLD.limit_price, OLD.expires_ms)
        IS DISTINCT FROM
       (NEW.order_id, NEW.account_id, NEW.symbol, NEW.side, NEW.kind, NEW.quantity, NEW.limit_price, NEW.expires_ms)
    THEN
        RAISE EXCEPTION 'order % cannot be changed: cancel it and make another', OLD.order_id
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.filled_quantity < OLD.filled_quantity THEN
        RAISE EXCEPTION 'order % had % filled, was to have %', OLD.order_id, OLD.filled_quantity, NEW.filled_quantity
            USING ERRCODE = 'check_violation';
    END IF;
    NEW.revision := OLD.revision + 1;
    NEW.changed_at := clock_timestamp();
    IF NEW.status = OLD.status THEN
        RETURN NEW;
    END IF;
    IF NOT EXISTS (SELECT FROM order_status_steps WHERE from_status = OLD.status AND to_status = NEW.status) THEN
        RAISE EXCEPTION 'order % cannot go from % to %', OLD.order_id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO order_transitions (order_id, revision, from_status, to_status, reason)
    VALUES (OLD.order_id, NEW.revision, OLD.status, NEW.status, NEW.reason);
    RETURN NEW;
END
$$
"""

STEP_TRIGGER = "CREATE TRIGGER order_step BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION note_order_step()"

# Which fills an order had; the ledger has the same fills, booked in the same transaction.
ORDER_FILLS = """
CREATE TABLE order_fills (
    account_id text COLLATE "C" NOT NULL,
    fill_id    text COLLATE "C" NOT NULL,
    order_id   text COLLATE "C" NOT NULL REFERENCES orders,
    PRIMARY KEY (account_id, fill_id),
    FOREIGN KEY (account_id, fill_id) REFERENCES ledger_fills
)
"""

ORDER_FILLS_BY_ORDER = "CREATE INDEX order_fills_by_order ON order_fills (order_id)"


def upgrade() -> None:
    """Create the tables of orders and the trigger that keeps their steps."""
    for statement in (
        ORDERS,
        ORDERS_UNDER_WAY,
        ORDERS_BY_ACCOUNT,
        ORDER_TRANSITIONS,
        STEPS,
        LEGAL_STEPS,
        STEP_FUNCTION,
        STEP_TRIGGER,
        ORDER_FILLS,
        ORDER_FILLS_BY_ORDER,
    ):
        op.execute(statement)
    for table in ("order_transitions", "order_fills"):
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
