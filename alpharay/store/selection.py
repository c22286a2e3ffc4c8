"""What selection needs and decides: trusted strategies, scores, ensembles, deployments, and their messages."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.bus.codec import encode
from alpharay.bus.messages import (
    DiscoveryRequest,
    EnsembleChosen,
    EnsembleMember,
    StrategyRotation,
    StrategyScore,
    StrategyScores,
)
from alpharay.bus.topics import ENSEMBLES, ROTATIONS, STRATEGY_SCORES
from alpharay.selection.confidence import KindRecord
from alpharay.selection.market_selection import MarketSelection
from alpharay.signals.evidence import Deployed
from alpharay.store.candle_rows import Market
from alpharay.store.outbox import add_to_outbox
from alpharay.store.strategy_status import DEPLOYED, REJECTED, RETIRED, VALIDATED, change_status

ACTOR = "selection"

_TRUSTED = """
SELECT s.strategy_id, s.strategy, s.parameters, s.start_time, s.train_end_time, s.end_time,
       CASE WHEN s.status = 'DEPLOYED' THEN coalesce(d.deployed_at, s.end_time) END,
       (SELECT r.request FROM strategy_evidence e JOIN discovery_runs r USING (run_id)
        WHERE e.strategy_id = s.strategy_id AND e.start_time = s.start_time AND e.end_time = s.end_time
        ORDER BY e.evaluated_at DESC LIMIT 1)
FROM strategies s LEFT JOIN deployments d ON d.strategy_id = s.strategy_id AND d.withdrawn_at IS NULL
WHERE s.exchange = %s AND s.symbol = %s AND s.timeframe = %s AND s.status IN ('VALIDATED', 'DEPLOYED')
ORDER BY s.strategy_id
"""

_DEPLOYED = """
SELECT s.strategy_id, c.confidence, m.weight
FROM strategies s
LEFT JOIN strategy_scores c ON c.strategy_id = s.strategy_id
LEFT JOIN ensembles e ON (e.exchange, e.symbol, e.timeframe) = (s.exchange, s.symbol, s.timeframe)
LEFT JOIN LATERAL jsonb_to_recordset(e.members) AS m (strategy_id text, weight double precision)
    ON m.strategy_id = s.strategy_id
WHERE s.exchange = %s AND s.symbol = %s AND s.timeframe = %s AND s.status = 'DEPLOYED'
ORDER BY s.strategy_id
"""

_SCORE = """
INSERT INTO strategy_scores (
    strategy_id, decided_at, confidence, performance, frequency, recency, unseen_days, unseen_trades
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (strategy_id) DO UPDATE SET
    decided_at = excluded.decided_at, confidence = excluded.confidence, performance = excluded.performance,
    frequency = excluded.frequency, recency = excluded.recency, unseen_days = excluded.unseen_days,
    unseen_trades = excluded.unseen_trades, scored_at = now()
WHERE strategy_scores.decided_at <= excluded.decided_at
"""

_ENSEMBLE = """
INSERT INTO ensembles (exchange, symbol, timeframe, decided_at, members, quality, mean_correlation)
VALUES (%s, %s, %s, %s, %s::jsonb, %s, %s)
ON CONFLICT (exchange, symbol, timeframe) DO UPDATE SET
    decided_at = excluded.decided_at, members = excluded.members, quality = excluded.quality,
    mean_correlation = excluded.mean_correlation, chosen_at = now()
WHERE ensembles.decided_at <= excluded.decided_at
"""

_DEPLOY = """
INSERT INTO deployments (strategy_id, deployed_at, deploy_reason) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""

_WITHDRAW = """
UPDATE deployments SET withdrawn_at = greatest(%s, deployed_at), withdraw_reason = %s
WHERE strategy_id = %s AND withdrawn_at IS NULL
"""

_STATUS_OF = {"DEPLOY": DEPLOYED, "WITHDRAW": VALIDATED, "RETIRE": RETIRED}


@dataclass(frozen=True, slots=True)
class TrustedRow:
    """A validated or deployed strategy as stored; times are UTC ms."""

    strategy_id: str
    strategy: dict[str, Any]
    parameters: dict[str, float]
    start_time: int
    train_end_time: int
    end_time: int
    deployed_at: int | None
    request: DiscoveryRequest | None
    """Of the newest search that found it in this window, with whose costs it was validated; None when not kept."""


def markets_with_trusted(connection: Connection[TupleRow]) -> list[Market]:
    """Return the markets that have a validated or deployed strategy, in order."""
    rows = connection.execute(
        "SELECT DISTINCT exchange, symbol, timeframe FROM strategies WHERE status IN ('VALIDATED', 'DEPLOYED') "
        "ORDER BY exchange, symbol, timeframe"
    ).fetchall()
    return [Market(*row) for row in rows]


def trusted_strategies(connection: Connection[TupleRow], market: Market) -> list[TrustedRow]:
    """Return a market's validated and deployed strategies, by id."""
    rows = connection.execute(_TRUSTED, tuple(market)).fetchall()
    requests = [None if row[-1] is None else msgspec.convert(row[-1], DiscoveryRequest) for row in rows]
    return [TrustedRow(*(*row[:-1], request)) for row, request in zip(rows, requests, strict=True)]


def deployed_strategies(connection: Connection[TupleRow], market: Market) -> list[Deployed]:
    """Return a market's deployed strategies with what selection thinks of them, by id."""
    return [Deployed(*row) for row in connection.execute(_DEPLOYED, tuple(market)).fetchall()]


def kind_records(connection: Connection[TupleRow]) -> dict[str, KindRecord]:
    """Return, by strategy name, how many strategies validation has decided on and how many it passed."""
    rows = connection.execute(
        "SELECT strategy_name, count(*), count(*) FILTER (WHERE status <> %s) FROM strategies "
        "WHERE status = ANY(%s) GROUP BY strategy_name",
        (REJECTED, [VALIDATED, DEPLOYED, RETIRED, REJECTED]),
    ).fetchall()
    return {name: KindRecord(tested, passed) for name, tested, passed in rows}


def store_selection(connection: Connection[TupleRow], market: Market, selection: MarketSelection) -> int:
    """Store one market's decisions and their messages, in the connection's transaction; return the status changes.

    Repeating it changes nothing and sends nothing: a message's id follows from its content. An older decision never
    replaces a newer one. Raises IllegalStepError when a status has changed meanwhile; nothing is stored then, and the
    next round decides anew.
    """
    # Two selections of one market take turns.
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", ("selection " + " ".join(market),))
    at = selection.decided_at
    if _decided_later(connection, market, at):
        return 0
    _store_scores(connection, market, selection)
    members = tuple(
        EnsembleMember(strategy_id=one.strategy_id, weight=one.weight, confidence=one.confidence)
        for one in selection.ensemble.members
    )
    quality, correlation = selection.ensemble.quality, selection.ensemble.mean_correlation
    connection.execute(_ENSEMBLE, (*market, at, msgspec.json.encode(members).decode(), quality, correlation))
    _publish(
        connection,
        ENSEMBLES,
        EnsembleChosen(
            exchange=market.exchange,
            symbol=market.symbol,
            timeframe=market.timeframe,
            decided_at=at,
            members=members,
            quality=quality,
            mean_correlation=correlation,
        ),
    )
    changes = [("RETIRE", strategy_id, reason) for strategy_id, reason in selection.retirements.items()]
    changes += [(move.kind, move.strategy_id, move.reason) for move in selection.moves]
    return sum(_change(connection, market, at, *change) for change in changes)


def _decided_later(connection: Connection[TupleRow], market: Market, at: int) -> bool:
    row = connection.execute(
        "SELECT decided_at FROM ensembles WHERE exchange = %s AND symbol = %s AND timeframe = %s", tuple(market)
    ).fetchone()
    return row is not None and int(row[0]) > at


def _store_scores(connection: Connection[TupleRow], market: Market, selection: MarketSelection) -> None:
    scores = tuple(
        StrategyScore(
            strategy_id=one.strategy_id,
            confidence=one.confidence.value,
            performance=one.confidence.performance,
            frequency=one.confidence.frequency,
            recency=one.confidence.recency,
            unseen_days=one.unseen_days,
            unseen_trades=one.unseen_trades,
        )
        for one in selection.scores
    )
    rows = [(one.strategy_id, selection.decided_at, *msgspec.structs.astuple(one)[1:]) for one in scores]
    with connection.cursor() as cursor:
        cursor.executemany(_SCORE, rows)
    if scores:
        message = StrategyScores(
            exchange=market.exchange,
            symbol=market.symbol,
            timeframe=market.timeframe,
            decided_at=selection.decided_at,
            scores=scores,
        )
        _publish(connection, STRATEGY_SCORES, message)


def _change(connection: Connection[TupleRow], market: Market, at: int, kind: str, strategy_id: str, reason: str) -> int:
    if not change_status(connection, strategy_id, _STATUS_OF[kind], actor=ACTOR, reason=reason):
        return 0
    if kind == "DEPLOY":
        connection.execute(_DEPLOY, (strategy_id, at, reason))
    else:
        connection.execute(_WITHDRAW, (at, reason, strategy_id))
    rotation = StrategyRotation(
        exchange=market.exchange,
        symbol=market.symbol,
        timeframe=market.timeframe,
        strategy_id=strategy_id,
        kind=kind,
        reason=reason,
        decided_at=at,
    )
    _publish(connection, ROTATIONS, rotation)
    return 1


def _publish(
    connection: Connection[TupleRow], topic: str, message: StrategyScores | EnsembleChosen | StrategyRotation
) -> None:
    digest = hashlib.sha256(encode(message)).hexdigest()[:32]
    add_to_outbox(connection, topic, message, message_id=f"{topic}/{digest}", key=message.symbol)
