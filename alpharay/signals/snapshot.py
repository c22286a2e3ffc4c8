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
from alpharay.portfolio.sizing import TradeRecord
from alpharay.risk.market_view import MarketRisk
from alpharay.signals.combination import Combination, combined
from alpharay.signals.decision import Action, Decision, balance_of, direction
from alpharay.signals.evidence import ScoredStrategy, weight
from alpharay.signals.market_context import MarketContext, context_opinion, market_context
from alpharay.signals.model_opinion import ActiveModel, ModelReading, model_opinion, model_reading
from alpharay.signals.opinion import DEGRADED, Opinion, abstention
from alpharay.signals.suggested_size import SuggestedSize, suggested_size, trade_record
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
    opinions: tuple[Opinion, ...]
    """Of the components that vote."""
    combination: Combination
    """Their decision, before risk has its word."""
    size: SuggestedSize
    context: MarketContext
    model: ModelReading
    strategies: tuple[StrategyVote, ...]
    strategies_json: msgspec.Raw
    strategy_ids: tuple[str, ...]
    strategy_sides: tuple[int, ...] = ()
    """What each of them asks for (`alpharay.signals.decision.direction`)."""
    problems: tuple[str, ...] = ()
    """Strategies and models that could not speak, and why."""

    @property
    def decision(self) -> Decision:
        """What the components that vote decide together."""
        return self.combination.decision

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


def market_view(
    candles: Candles,
    stored: Sequence[ScoredStrategy],
    *,
    risk: MarketRisk | None = None,
    model: ActiveModel | None = None,
) -> MarketView:
    """Return a market's view at the newest candle: every component's word, and what they decide together.

    `candles` is all that is stored of the market, at least one; `risk` and `model` are its fitted states and its active
    model, where there are any. Each strategy votes on the candles from the first one that its search used, so that its
    recursive indicators start where they started there. One that cannot vote is left out and named in `problems`.
    Raises ValueError when a price is not finite and positive.
    """
    newest = int(candles.open_time[-1])
    cast, problems = _cast(candles, stored, newest)
    shown = [_shown_vote(item, said) for item, said in cast]
    context = market_context(candles, risk)
    reading = model_reading(candles, model)
    opinions = (
        _strategies_opinion([said for _, said in cast], [item.weight for item in shown], problems),
        model_opinion(reading),
        context_opinion(context),
    )
    combination = combined(opinions)
    return MarketView(
        exchange=candles.exchange,
        symbol=candles.symbol,
        timeframe=candles.timeframe,
        candles=len(candles),
        candle_time=newest,
        close_time=newest + timeframe_ms(candles.timeframe),
        close=float(candles.close[-1]),
        opinions=opinions,
        combination=combination,
        size=suggested_size(combination.decision, context.volatility, _record(cast, combination.decision.action)),
        context=context,
        model=reading,
        strategies=tuple(shown),
        strategies_json=msgspec.Raw(msgspec.json.encode(shown)),
        strategy_ids=tuple(item.strategy_id for item in shown),
        strategy_sides=tuple(direction(said) for _, said in cast),
        problems=(*problems, *((f"model {reading.model_id}: {reading.problem}",) if reading.problem else ())),
    )


def utc(time_ms: int) -> datetime:
    """Return UTC milliseconds as a time."""
    return datetime.fromtimestamp(time_ms / 1000.0, UTC)


def _cast(
    candles: Candles, stored: Sequence[ScoredStrategy], newest: int
) -> tuple[list[tuple[ScoredStrategy, Vote]], tuple[str, ...]]:
    """Return the votes of the strategies that can vote, those of most weight first, and why others cannot."""
    windows = {start: candles.between(start, newest + 1) for start in {item.start_time for item in stored}}
    prepared = {start: voting_candles(window) for start, window in windows.items() if len(window)}
    cast: list[tuple[ScoredStrategy, Vote]] = []
    problems: list[str] = []
    for item in sorted(stored, key=lambda item: (-weight(item), item.strategy_id)):
        if item.start_time not in prepared:
            problems.append(f"{item.strategy_id}: its window starts after the newest candle")
            continue
        try:
            cast.append((item, vote(item.strategy, item.parameters, prepared[item.start_time])))
        except ValueError as error:
            problems.append(f"{item.strategy_id}: {error}")
    return cast, tuple(problems)


def _strategies_opinion(votes: Sequence[Vote], weights: Sequence[float], problems: Sequence[str]) -> Opinion:
    balance = balance_of(votes, weights)
    if balance is None:
        if problems:
            return abstention("strategies", f"none of {len(problems)} strategies can vote", "strategies_left_out")
        return abstention("strategies", "no strategy is stored for this market", "no_strategies")
    flags = (DEGRADED, "strategies_left_out") if problems else ()
    return Opinion(name="strategies", score=balance.score, confidence=balance.evidence, why=balance.reason, flags=flags)


def _record(cast: Sequence[tuple[ScoredStrategy, Vote]], action: Action) -> TradeRecord | None:
    """Return the unseen record of the strategy of most weight that asks for the action."""
    side = {"BUY": 1, "SELL": -1, "HOLD": 0}[action]
    asking = next((item for item, said in cast if direction(said) == side), None)
    return None if asking is None or side == 0 else trade_record(asking.out_of_sample)


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
