"""What the service knows, as an immutable value: every market's decision, made when the data changed.

A request only looks things up in here; nothing is computed for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

import msgspec

from alpharay.market.candles import Candles
from alpharay.market.timeframe import timeframe_ms
from alpharay.signals.decision import Decision, combine, direction
from alpharay.signals.evidence import ScoredStrategy, weight
from alpharay.signals.vote import Vote, vote, voting_candles

METRICS = ("sharpe", "total_return", "max_drawdown", "trades", "win_rate", "profit_factor")
"""The figures of a strategy that go with every answer."""


class StrategyVote(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy behind an answer."""

    strategy_id: str
    name: str
    status: str
    parameters: Mapping[str, float]
    vote: str
    """The position that its rules hold: LONG, FLAT or SHORT."""
    event: str | None
    """What its rules decided on the newest candle: ENTRY, EXIT, REVERSAL or null."""
    decided_at: datetime | None
    """Open time of the candle that decided the position."""
    bars_since: int | None
    entry_price: float | None
    weight: float
    in_sample: Mapping[str, float | None]
    out_of_sample: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class MarketView:
    """One market at its newest closed candle."""

    exchange: str
    symbol: str
    timeframe: str
    candles: int
    candle_time: int
    """Open time of the newest closed candle, UTC ms."""
    close_time: int
    """When it closed, UTC ms."""
    close: float
    decision: Decision
    strategies: tuple[StrategyVote, ...]
    strategies_json: msgspec.Raw
    strategy_ids: tuple[str, ...]
    strategy_sides: tuple[int, ...] = ()
    """What each of them asks for (`alpharay.signals.decision.direction`)."""
    problems: tuple[str, ...] = ()
    """Strategies that could not vote, and why."""

    @property
    def total_weight(self) -> float:
        """The weights of its strategies, summed."""
        return math.fsum(item.weight for item in self.strategies)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every market's view, by symbol; the first of a symbol answers when only the symbol is asked."""

    markets: Mapping[str, tuple[MarketView, ...]]

    def symbols(self) -> tuple[str, ...]:
        """Return the symbols, sorted."""
        return tuple(sorted(self.markets))

    def find(self, symbol: str, exchange: str | None = None, timeframe: str | None = None) -> MarketView | None:
        """Return the first of a symbol's markets that fits what is asked; None when none does."""
        for view in self.markets.get(symbol, ()):
            if exchange in (None, view.exchange) and timeframe in (None, view.timeframe):
                return view
        return None

    def views(self) -> Iterable[MarketView]:
        """Yield every market."""
        for views in self.markets.values():
            yield from views


EMPTY = Snapshot(MappingProxyType({}))


def snapshot_of(views: Iterable[MarketView]) -> Snapshot:
    """Return the snapshot of some markets.

    Of several markets of one symbol the one with the most evidence (summed weights) comes first; then the
    one with the longest time frame, then by the exchange's name.
    """

    def rank(view: MarketView) -> tuple[float, int, str]:
        return (-view.total_weight, -timeframe_ms(view.timeframe), view.exchange)

    by_symbol: dict[str, list[MarketView]] = {}
    for view in views:
        by_symbol.setdefault(view.symbol, []).append(view)
    ranked = {symbol: tuple(sorted(found, key=rank)) for symbol, found in by_symbol.items()}
    return Snapshot(MappingProxyType(ranked))


def market_view(candles: Candles, stored: Sequence[ScoredStrategy]) -> MarketView:
    """Return a market's view: every strategy's vote on the newest candle, and the decision.

    `candles` is all that is stored of the market, at least one. Each strategy votes on the candles from the
    first one that its search used, so that its recursive indicators start where they started there. One
    that cannot vote is left out and named in `problems`. Raises ValueError when a price is not finite and
    positive.
    """
    newest = int(candles.open_time[-1])
    windows = {start: candles.between(start, newest + 1) for start in {item.start_time for item in stored}}
    prepared = {start: voting_candles(window) for start, window in windows.items() if len(window)}
    votes: list[Vote] = []
    shown: list[StrategyVote] = []
    problems: list[str] = []
    for item in sorted(stored, key=lambda item: (-weight(item), item.strategy_id)):
        if item.start_time not in prepared:
            problems.append(f"{item.strategy_id}: its window starts after the newest candle")
            continue
        try:
            said = vote(item.strategy, item.parameters, prepared[item.start_time])
        except ValueError as error:
            problems.append(f"{item.strategy_id}: {error}")
            continue
        votes.append(said)
        shown.append(_shown_vote(item, said))
    return MarketView(
        exchange=candles.exchange,
        symbol=candles.symbol,
        timeframe=candles.timeframe,
        candles=len(candles),
        candle_time=newest,
        close_time=newest + timeframe_ms(candles.timeframe),
        close=float(candles.close[-1]),
        decision=combine(votes, [item.weight for item in shown]),
        strategies=tuple(shown),
        strategies_json=msgspec.Raw(msgspec.json.encode(shown)),
        strategy_ids=tuple(item.strategy_id for item in shown),
        strategy_sides=tuple(direction(said) for said in votes),
        problems=tuple(problems),
    )


def utc(time_ms: int) -> datetime:
    """Return UTC milliseconds as a time."""
    return datetime.fromtimestamp(time_ms / 1000.0, UTC)


def _shown_vote(item: ScoredStrategy, said: Vote) -> StrategyVote:
    return StrategyVote(
        strategy_id=item.strategy_id,
        name=item.strategy.name,
        status=item.status,
        parameters=dict(item.parameters),
        vote=said.position,
        event=said.event,
        decided_at=None if said.decided_at is None else utc(said.decided_at),
        bars_since=said.bars_since,
        entry_price=said.entry_price,
        weight=weight(item),
        in_sample=_shown(item.in_sample),
        out_of_sample=_shown(item.out_of_sample),
    )


def _shown(metrics: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return the figures that go with an answer; an infinite one, which JSON cannot say, as None."""
    chosen = {name: metrics.get(name) for name in METRICS}
    return {name: value if value is None or math.isfinite(value) else None for name, value in chosen.items()}
