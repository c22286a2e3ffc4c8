"""Accounts and their books in double entry: entries that the database itself balances and never changes.

Everything else about an account (balances, lots) is a projection of its entries, kept in the same transaction and
computable again from them. Amounts of money are numeric(28, 8), quantities numeric(28, 12).
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Paper and live money never share an account: what kind it is cannot be changed. Each account has its kill switch.
ACCOUNTS = """
CREATE TABLE accounts (
    account_id text COLLATE "C" PRIMARY KEY REFERENCES trading_switches CHECK (account_id <> '*'),
    kind       text        NOT NULL CHECK (kind IN ('paper', 'live')),
    currency   text        NOT NULL CHECK (currency <> ''),
    method     text        NOT NULL CHECK (method IN ('average', 'fifo')),
    opened_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, currency)
)
"""

# `number` counts an account's entries without a gap, in the order in which they were booked. `written_by` lets postings
# come only with their entry.
LEDGER_ENTRIES = """
CREATE TABLE ledger_entries (
    account_id text COLLATE "C" NOT NULL REFERENCES accounts,
    number     bigint           NOT NULL CHECK (number >= 1),
    entry_id   text COLLATE "C" NOT NULL,
    kind       text             NOT NULL CHECK (kind IN ('fill', 'capital', 'funding')),
    time_ms    bigint           NOT NULL,
    booked_at  timestamptz      NOT NULL DEFAULT now(),
    written_by xid8             NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (account_id, number),
    UNIQUE (account_id, entry_id)
)
"""

LEDGER_POSTINGS = """
CREATE TABLE ledger_postings (
    account_id text COLLATE "C" NOT NULL,
    number     bigint           NOT NULL,
    line       smallint         NOT NULL CHECK (line >= 1),
    account    text             NOT NULL
               CHECK (account IN ('cash', 'position', 'fees', 'funding', 'realised', 'capital')),
    currency   text             NOT NULL,
    amount     numeric(28, 8)   NOT NULL,
    symbol     text COLLATE "C",
    quantity   numeric(28, 12)  NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, number, line),
    FOREIGN KEY (account_id, number) REFERENCES ledger_entries,
    FOREIGN KEY (account_id, currency) REFERENCES accounts (account_id, currency),
    CHECK ((account = 'position') = (symbol IS NOT NULL)),
    CHECK (account = 'position' OR quantity = 0)
)
"""

# What the broker said, digit for digit: the same fill id with another body is a mistake that must be seen.
LEDGER_FILLS = """
CREATE TABLE ledger_fills (
    account_id text COLLATE "C" NOT NULL,
    fill_id    text COLLATE "C" NOT NULL,
    symbol     text COLLATE "C" NOT NULL,
    side       text             NOT NULL CHECK (side IN ('buy', 'sell')),
    quantity   numeric(28, 12)  NOT NULL CHECK (quantity > 0),
    price      numeric          NOT NULL CHECK (price > 0),
    fee        numeric          NOT NULL,
    time_ms    bigint           NOT NULL,
    PRIMARY KEY (account_id, fill_id),
    FOREIGN KEY (account_id, fill_id) REFERENCES ledger_entries (account_id, entry_id)
)
"""

# The projections. A profit and what was paid in are above zero, as in `alpharay.portfolio.ledger.Book`.
LEDGER_BALANCES = """
CREATE TABLE ledger_balances (
    account_id text COLLATE "C" PRIMARY KEY REFERENCES accounts,
    entries    bigint           NOT NULL DEFAULT 0,
    cash       numeric(28, 8)   NOT NULL DEFAULT 0,
    fees       numeric(28, 8)   NOT NULL DEFAULT 0,
    funding    numeric(28, 8)   NOT NULL DEFAULT 0,
    realised   numeric(28, 8)   NOT NULL DEFAULT 0,
    capital    numeric(28, 8)   NOT NULL DEFAULT 0
)
"""

LEDGER_LOTS = """
CREATE TABLE ledger_lots (
    account_id text COLLATE "C" NOT NULL REFERENCES accounts,
    symbol     text COLLATE "C" NOT NULL,
    lot        integer          NOT NULL CHECK (lot >= 1),
    quantity   numeric(28, 12)  NOT NULL CHECK (quantity <> 0),
    cost       numeric(28, 8)   NOT NULL,
    PRIMARY KEY (account_id, symbol, lot)
)
"""

BALANCE_FUNCTION = """
CREATE FUNCTION refuse_unbalanced_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    unbalanced record;
BEGIN
    SELECT currency, sum(amount) AS total INTO unbalanced FROM ledger_postings
    WHERE account_id = NEW.account_id AND number = NEW.number
    GROUP BY currency HAVING sum(amount) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the postings of entry % of account % must sum to 0 in %, was %',
            NEW.number, NEW.account_id, unbalanced.currency, unbalanced.total
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entry_balanced';
    END IF;
    IF (SELECT count(*) < 2 FROM ledger_postings WHERE account_id = NEW.account_id AND number = NEW.number) THEN
        RAISE EXCEPTION 'entry % of account % must have at least two postings', NEW.number, NEW.account_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entry_balanced';
    END IF;
    RETURN NULL;
END
$$
"""

# Deferred: an entry is in balance when its transaction commits. Postings are checked too, so that one which comes after
# its entry was checked (SET CONSTRAINTS ... IMMEDIATE) is not missed.
BALANCE_TRIGGER = """
CREATE CONSTRAINT TRIGGER ledger_entry_balanced AFTER INSERT ON ledger_entries
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_unbalanced_entry()
"""

POSTINGS_BALANCE_TRIGGER = """
CREATE CONSTRAINT TRIGGER ledger_postings_balanced AFTER INSERT ON ledger_postings
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_unbalanced_entry()
"""

LATE_POSTING_FUNCTION = """
CREATE FUNCTION refuse_late_posting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM ledger_entries
        WHERE account_id = NEW.account_id AND number = NEW.number AND written_by <> pg_current_xact_id()
    ) THEN
        RAISE EXCEPTION 'entry % of account % is booked and takes no more postings', NEW.number, NEW.account_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entry_closed';
    END IF;
    RETURN NEW;
END
$$
"""

LATE_POSTING_TRIGGER = """
CREATE TRIGGER ledger_entry_closed BEFORE INSERT ON ledger_postings
FOR EACH ROW EXECUTE FUNCTION refuse_late_posting()
"""

APPEND_ONLY_FUNCTION = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: correct it by a new entry, was %', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
$$
"""

APPEND_ONLY = ("accounts", "ledger_entries", "ledger_postings", "ledger_fills")


def upgrade() -> None:
    """Create the tables of the book and the triggers that keep it."""
    for statement in (
        ACCOUNTS,
        LEDGER_ENTRIES,
        LEDGER_POSTINGS,
        LEDGER_FILLS,
        LEDGER_BALANCES,
        LEDGER_LOTS,
        BALANCE_FUNCTION,
        BALANCE_TRIGGER,
        POSTINGS_BALANCE_TRIGGER,
        LATE_POSTING_FUNCTION,
        LATE_POSTING_TRIGGER,
        APPEND_ONLY_FUNCTION,
    ):
        op.execute(statement)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
