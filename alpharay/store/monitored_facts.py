"""What can be seen of the whole system in its database: each fact is one query, and one metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

Rows = Sequence[tuple[tuple[str, ...], float]]
"""The values of a fact, each with those of its labels."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Fact:
    """One metric; the statement answers rows of the labels and the value."""

    name: str
    meaning: str
    labels: tuple[str, ...]
    statement: str


_QUEUES = (("discovery", "discovery_runs"), ("backtest", "backtests"))


def _of_queues(statement: str) -> str:
    """Return the statement for every queue; `{queue}` is its name and `{table}` its table."""
    return " UNION ALL ".join(statement.format(queue=queue, table=table) for queue, table in _QUEUES)


FACTS = (
    Fact(
        "alpharay_outbox_waiting_messages",
        "Messages that are stored and not yet published.",
        (),
        "SELECT count(*) FROM outbox WHERE published_at IS NULL",
    ),
    Fact(
        "alpharay_outbox_oldest_age_seconds",
        "How long the oldest of them waits; 0 when none does.",
        (),
        "SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0) FROM outbox WHERE published_at IS NULL",
    ),
    Fact(
        "alpharay_queue_rows",
        "Requests that wait for a worker, and those that one works on.",
        ("queue", "status"),
        _of_queues(
            "SELECT '{queue}', s.status, count(q.status) FROM (VALUES ('QUEUED'), ('RUNNING')) AS s (status) "
            "LEFT JOIN {table} q USING (status) GROUP BY s.status"
        ),
    ),
    Fact(
        "alpharay_queue_oldest_age_seconds",
        "How long the oldest waiting request waits; 0 when none does.",
        ("queue",),
        _of_queues(
            "SELECT '{queue}', coalesce(extract(epoch FROM now() - min(queued_at)), 0) FROM {table} "
            "WHERE status = 'QUEUED'"
        ),
    ),
    Fact(
        "alpharay_queue_expired_leases",
        "Requests whose worker has vanished and that nobody has taken over yet.",
        ("queue",),
        _of_queues("SELECT '{queue}', count(*) FROM {table} WHERE status = 'RUNNING' AND lease_until < now()"),
    ),
    Fact(
        "alpharay_executor_lease_seconds",
        "How long the lease of the account's executor still runs; below 0 nobody executes its orders.",
        ("account",),
        "SELECT account_id, extract(epoch FROM lease_until - now()) FROM executor_leases",
    ),
    Fact(
        "alpharay_orders_under_way",
        "Orders that have not ended, by status.",
        ("status",),
        "SELECT s.status, count(o.status) FROM (VALUES ('intended'), ('sending'), ('open'), ('partially_filled')) "
        "AS s (status) LEFT JOIN orders o USING (status) GROUP BY s.status",
    ),
    Fact(
        "alpharay_order_unanswered_age_seconds",
        "How long the oldest order in `sending` waits for the broker's answer; 0 when none does.",
        (),
        "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(changed_at)), 0) FROM orders "
        "WHERE status = 'sending'",
    ),
    Fact(
        "alpharay_ledger_imbalance",
        "What debits and credits differ by, summed over accounts, in the currency. Anything but 0 is wrong.",
        ("currency",),
        "SELECT currency, sum(abs(amount)) FROM (SELECT account_id, currency, sum(amount) AS amount "
        "FROM ledger_postings GROUP BY account_id, currency) AS account GROUP BY currency",
    ),
    Fact(
        "alpharay_ledger_projection_difference",
        "What balances differ by from the postings that they are made of, in the currency. Anything but 0 is wrong.",
        ("currency", "kind"),
        """
        WITH posted AS (
            SELECT account_id, sum(amount) FILTER (WHERE account = 'cash') AS cash,
                sum(amount) FILTER (WHERE account = 'position') AS cost
            FROM ledger_postings GROUP BY account_id
        ), held AS (SELECT account_id, sum(cost) AS cost FROM ledger_lots GROUP BY account_id)
        SELECT a.currency, k.kind, sum(abs(CASE k.kind
            WHEN 'cash' THEN coalesce(b.cash, 0) - coalesce(p.cash, 0)
            ELSE coalesce(h.cost, 0) - coalesce(p.cost, 0) END))
        FROM accounts a CROSS JOIN (VALUES ('cash'), ('position')) AS k (kind)
        LEFT JOIN posted p USING (account_id) LEFT JOIN held h USING (account_id)
        LEFT JOIN ledger_balances b USING (account_id)
        GROUP BY a.currency, k.kind
        """,
    ),
    Fact(
        "alpharay_signals_stored",
        "Signals of the last 24 hours by action.",
        ("action",),
        "SELECT a.action, count(s.action) FROM (VALUES ('BUY'), ('SELL'), ('HOLD')) AS a (action) "
        "LEFT JOIN signals s ON s.action = a.action AND s.stored_at > now() - interval '1 day' GROUP BY a.action",
    ),
    Fact(
        "alpharay_signal_success_ratio",
        "Of the signals whose outcome was worked out in the last 24 hours, the share that won after costs.",
        (),
        "SELECT avg((net_return > 0)::integer) FROM signal_outcomes "
        "WHERE worked_out_at > now() - interval '1 day' AND net_return IS NOT NULL",
    ),
    Fact(
        "alpharay_signal_outcomes",
        "Signals whose outcome was worked out in the last 24 hours, by how they ended.",
        ("ending",),
        "SELECT e.ending, count(o.ending) FROM (VALUES ('HORIZON'), ('OPPOSITE'), ('LIQUIDATED'), ('MISSED')) "
        "AS e (ending) LEFT JOIN signal_outcomes o "
        "ON o.ending = e.ending AND o.worked_out_at > now() - interval '1 day' GROUP BY e.ending",
    ),
    Fact(
        "alpharay_model_score",
        "How good the model that speaks in a market was on folds that it had not seen; the base rate's beside it.",
        ("exchange", "symbol", "timeframe", "score"),
        "SELECT exchange, symbol, timeframe, score.key, score.value::float8 FROM signal_models, "
        "jsonb_each_text(metrics) AS score WHERE status = 'ACTIVE' "
        "AND score.key IN ('brier', 'base_brier', 'log_loss', 'base_log_loss')",
    ),
    Fact(
        "alpharay_model_age_seconds",
        "How long the model of a market has been speaking.",
        ("exchange", "symbol", "timeframe"),
        "SELECT exchange, symbol, timeframe, extract(epoch FROM now() - activated_at) FROM signal_models "
        "WHERE status = 'ACTIVE'",
    ),
    Fact(
        "alpharay_retention_age_seconds",
        "Since old candles were last ended, or, before the first time, since a market is ingested.",
        (),
        "SELECT extract(epoch FROM now() - coalesce(max(finished_at), (SELECT min(wanted_at) FROM ingested_markets))) "
        "FROM candle_retention",
    ),
    Fact(
        "alpharay_wal_archive_failing_seconds",
        "While PostgreSQL cannot archive its log: how long ago it last could. 0 while it can, none where it shall not.",
        (),
        "SELECT CASE WHEN last_failed_time > coalesce(last_archived_time, '-infinity') "
        "THEN extract(epoch FROM now() - coalesce(last_archived_time, stats_reset)) ELSE 0 END "
        "FROM pg_stat_archiver WHERE current_setting('archive_mode') <> 'off'",
    ),
)  # fmt: skip

# One look at an index for each market and partition, however many candles there are. What is made from smaller candles
# is as fresh as these can make it, while they come and once its history is made.
_NEWEST_CANDLES = """
SELECT m.exchange, m.symbol, m.timeframe,
    (
        SELECT max(open_time) FROM candles c
        WHERE c.exchange = m.exchange AND c.symbol = m.symbol AND c.timeframe = m.timeframe
    )
FROM (
    SELECT exchange, symbol, timeframe FROM ingested_markets WHERE enabled
    UNION
    SELECT r.exchange, r.symbol, r.timeframe FROM rolled_markets r JOIN ingested_markets s
        ON s.enabled AND (s.exchange, s.symbol, s.timeframe) = (r.exchange, r.symbol, r.source_timeframe)
    WHERE r.wanted AND r.filling_from IS NULL
) AS m ORDER BY 1, 2, 3
"""


def read_facts(connection: Connection[TupleRow]) -> Mapping[str, Rows]:
    """Return the rows of every fact by its name; one whose statement fails is left out, and logged.

    Each is a transaction of its own on the connection. Raises psycopg's errors when the connection is lost.
    """
    found: dict[str, Rows] = {}
    for fact in FACTS:
        try:
            with connection.transaction():
                rows = connection.execute(fact.statement).fetchall()
        except (psycopg.errors.QueryCanceled, psycopg.ProgrammingError) as error:
            log.warning("monitor.fact_unknown", fact=fact.name, error=str(error))
            continue
        found[fact.name] = [(tuple(map(str, row[:-1])), float(row[-1])) for row in rows if row[-1] is not None]
    return found


def newest_candles(connection: Connection[TupleRow]) -> dict[tuple[str, str, str], int]:
    """Return the open time, UTC ms, of the newest candle of each market that is ingested, or made from one that is.

    A market without candles is left out.
    """
    rows = connection.execute(_NEWEST_CANDLES).fetchall()
    return {(row[0], row[1], row[2]): int(row[3]) for row in rows if row[3] is not None}
