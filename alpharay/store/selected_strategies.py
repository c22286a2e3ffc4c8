"""Which strategies speak for each market, and why: the stored ensembles, scores and deployments of selection."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.store.candle_rows import Market

MOST_ROTATIONS = 10
"""The newest deployments and withdrawals that are told of a market."""

_ENSEMBLES = """
SELECT exchange, symbol, timeframe, decided_at, quality, mean_correlation
FROM ensembles
WHERE (%(exchange)s::text IS NULL OR exchange = %(exchange)s) AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s)
  AND (%(timeframe)s::text IS NULL OR timeframe = %(timeframe)s)
ORDER BY exchange, symbol, timeframe LIMIT %(limit)s
"""

_MEMBERS = """
SELECT e.exchange, e.symbol, e.timeframe, m.strategy_id, s.strategy_name, s.status, m.weight, m.confidence,
       c.performance, c.frequency, c.recency, c.unseen_days, c.unseen_trades, d.deployed_at, d.deploy_reason
FROM unnest(%(exchanges)s::text[], %(symbols)s::text[], %(timeframes)s::text[]) AS w (exchange, symbol, timeframe)
JOIN ensembles e USING (exchange, symbol, timeframe)
CROSS JOIN LATERAL ROWS FROM (
    jsonb_to_recordset(e.members) AS (strategy_id text, weight double precision, confidence double precision)
) WITH ORDINALITY AS m (strategy_id, weight, confidence, place)
JOIN strategies s ON s.strategy_id = m.strategy_id
LEFT JOIN strategy_scores c ON c.strategy_id = m.strategy_id
LEFT JOIN deployments d ON d.strategy_id = m.strategy_id AND d.withdrawn_at IS NULL
ORDER BY m.place
"""

_ROTATIONS = """
SELECT w.exchange, w.symbol, w.timeframe, r.strategy_id, r.strategy_name, r.kind, r.at, r.reason
FROM unnest(%(exchanges)s::text[], %(symbols)s::text[], %(timeframes)s::text[]) AS w (exchange, symbol, timeframe)
CROSS JOIN LATERAL (
    SELECT s.strategy_id, s.strategy_name, step.kind, step.at, step.reason
    FROM strategies s JOIN deployments d USING (strategy_id)
    CROSS JOIN LATERAL (VALUES ('DEPLOYED', d.deployed_at, d.deploy_reason),
                               ('WITHDRAWN', d.withdrawn_at, d.withdraw_reason)) AS step (kind, at, reason)
    WHERE (s.exchange, s.symbol, s.timeframe) = (w.exchange, w.symbol, w.timeframe) AND step.at IS NOT NULL
    ORDER BY step.at DESC, s.strategy_id, step.kind LIMIT %(rotations)s
) r
"""


@dataclass(frozen=True, slots=True)
class SelectedStrategy:
    """A member of an ensemble: its weight in it, and what its confidence is made of.

    Without a score yet (performance to `unseen_trades`), or not deployed (the last two), those are None.
    """

    strategy_id: str
    strategy_name: str
    status: str
    weight: float
    confidence: float
    performance: float | None
    frequency: float | None
    recency: float | None
    unseen_days: int | None
    unseen_trades: int | None
    deployed_at: int | None
    deploy_reason: str | None


@dataclass(frozen=True, slots=True)
class Rotation:
    """A strategy that was deployed or withdrawn, when (UTC ms, the candles' time) and why."""

    strategy_id: str
    strategy_name: str
    kind: str
    at: int
    reason: str


@dataclass(frozen=True, slots=True)
class SelectedMarket:
    """A market's ensemble as it was decided last, members as they were chosen one by one, and its newest rotations."""

    exchange: str
    symbol: str
    timeframe: str
    decided_at: int
    quality: float
    mean_correlation: float
    members: tuple[SelectedStrategy, ...]
    rotations: tuple[Rotation, ...]


def selected_markets(
    connection: Connection[TupleRow],
    *,
    exchange: str | None = None,
    symbol: str | None = None,
    timeframe: str | None = None,
    limit: int = 100,
) -> list[SelectedMarket]:
    """Return the markets for which selection has decided, at most `limit`, in order; those that are asked for."""
    ensembles = connection.execute(
        _ENSEMBLES, {"exchange": exchange, "symbol": symbol, "timeframe": timeframe, "limit": limit}
    ).fetchall()
    markets = [Market(*row[:3]) for row in ensembles]
    wanted = {
        "exchanges": [market.exchange for market in markets],
        "symbols": [market.symbol for market in markets],
        "timeframes": [market.timeframe for market in markets],
    }
    members: dict[Market, list[SelectedStrategy]] = defaultdict(list)
    for row in connection.execute(_MEMBERS, wanted).fetchall():
        members[Market(*row[:3])].append(SelectedStrategy(*row[3:]))
    rotations: dict[Market, list[Rotation]] = defaultdict(list)
    for row in connection.execute(_ROTATIONS, {**wanted, "rotations": MOST_ROTATIONS}).fetchall():
        rotations[Market(*row[:3])].append(Rotation(*row[3:]))
    return [
        SelectedMarket(
            exchange=market.exchange,
            symbol=market.symbol,
            timeframe=market.timeframe,
            decided_at=decided_at,
            quality=quality,
            mean_correlation=correlation,
            members=tuple(members[market]),
            rotations=tuple(rotations[market]),
        )
        for market, (*_, decided_at, quality, correlation) in zip(markets, ensembles, strict=True)
    ]
