"""What caused an order, each of its steps and each of its fills: the id of the request, and the span that placed it."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ORDER_SPAN = "ALTER TABLE orders ADD COLUMN traceparent text CHECK (length(traceparent) = 55)"
STEP_ORIGIN = "ALTER TABLE order_transitions ADD COLUMN correlation_id text"
FILL_ORIGIN = "ALTER TABLE order_fills ADD COLUMN correlation_id text"

# A step has the id of the request that the transaction is of, such as a cancellation's; else that of the order. All
# else is as in revision 0007.
STEP_FUNCTION = """
CREATE OR REPLACE FUNCTION note_order_step() RETURNS trigger LANGUAGE plpgsql AS $$
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
    INSERT INTO order_transitions (order_id, revision, from_status, to_status, reason, correlation_id)
    VALUES (
        OLD.order_id, NEW.revision, OLD.status, NEW.status, NEW.reason,
        coalesce(nullif(current_setting('alpharay.correlation_id', true), ''), NEW.correlation_id)
    );
    RETURN NEW;
END
$$
"""


def upgrade() -> None:
    """Add the columns, and have each step note its origin."""
    for statement in (ORDER_SPAN, STEP_ORIGIN, FILL_ORIGIN, STEP_FUNCTION):
        op.execute(statement)
