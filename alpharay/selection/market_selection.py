"""One market's selection: score its trusted strategies, retire the decayed, choose the ensemble, rotate towards it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.tables import PriceTables, price_tables
from alpharay.market.candles import Candles
from alpharay.market.timeframe import DAY_MS, timeframe_ms
from alpharay.selection.confidence import Confidence, ConfidenceWeights, KindRecord, confidence
from alpharay.selection.ensemble import Ensemble, EnsembleSettings, choose_ensemble
from alpharay.selection.retirement import RetirementSettings, reason_to_retire
from alpharay.selection.rotation import Challenger, Incumbent, Move, RotationSettings, rotate
from alpharay.selection.track import Track, day_of, track_of
from alpharay.strategies.strategy import Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionSettings:
    """The settings of the four steps."""

    weights: ConfidenceWeights = field(default_factory=ConfidenceWeights)
    ensemble: EnsembleSettings = field(default_factory=EnsembleSettings)
    rotation: RotationSettings = field(default_factory=RotationSettings)
    retirement: RetirementSettings = field(default_factory=RetirementSettings)


@dataclass(frozen=True, slots=True)
class TrustedStrategy:
    """A validated or deployed strategy of one market; times are UTC ms."""

    strategy_id: str
    strategy: Strategy
    parameters: Mapping[str, float]
    start_time: int
    """First candle of its search: its recursive indicators begin there."""
    train_end_time: int
    """First open time that its search did not see."""
    end_time: int
    """End of the window of its newest evidence."""
    deployed_at: int | None
    """None when it is not deployed."""
    costs: Costs = Costs()
    """What trading costs, as in the search that found it and in its validation; so are the frictions."""
    frictions: Frictions | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """One strategy's confidence, and on how much it rests."""

    strategy_id: str
    confidence: Confidence
    unseen_days: int
    unseen_trades: int


@dataclass(frozen=True, slots=True)
class MarketSelection:
    """What was decided for one market at the close of its newest candle."""

    decided_at: int
    """Close time of the newest candle, UTC ms."""
    scores: tuple[Score, ...]
    ensemble: Ensemble
    retirements: Mapping[str, str]
    """Deployed strategies that have decayed, each with the reason."""
    moves: tuple[Move, ...]
    problems: tuple[str, ...]
    """Strategies that could not be evaluated, each with the reason."""


def select(
    strategies: Sequence[TrustedStrategy],
    candles: Candles,
    kinds: Mapping[str, KindRecord],
    settings: SelectionSettings = SelectionSettings(),
) -> MarketSelection:
    """Decide for one market from its candles, which begin at or before every strategy's `start_time`.

    `kinds` are what validation has decided by strategy name. The same input gives the same decision; without candles
    nothing is decided.
    """
    if len(candles) == 0:
        return MarketSelection(0, (), Ensemble((), 0.0, 0.0), {}, (), ())
    now = int(candles.open_time[-1]) + timeframe_ms(candles.timeframe)
    tracks, problems = _tracks(strategies, candles)
    known = [one for one in strategies if one.strategy_id in tracks]
    retirements = {
        one.strategy_id: reason
        for one in known
        if (reason := _decay(one, tracks[one.strategy_id], now, settings.retirement)) is not None
    }
    everything = KindRecord(
        sum(kind.tested for kind in kinds.values()), sum(kind.passed for kind in kinds.values())
    )  # fmt: skip
    scores = tuple(_score(one, tracks[one.strategy_id], kinds, everything, now, settings.weights) for one in known)
    confidences = {score.strategy_id: score.confidence.value for score in scores}
    staying = [
        one for one in known if one.strategy_id not in retirements and not _is_stale(one, now, settings.retirement)
    ]
    ensemble = choose_ensemble([tracks[one.strategy_id] for one in staying], confidences, settings.ensemble)
    chosen = {member.strategy_id for member in ensemble.members}
    incumbents = [
        Incumbent(one.strategy_id, one.deployed_at, confidences[one.strategy_id], tracks[one.strategy_id].holds)
        for one in staying
        if one.deployed_at is not None
    ]
    challengers = [
        Challenger(one.strategy_id, confidences[one.strategy_id])
        for one in staying
        if one.deployed_at is None and one.strategy_id in chosen
    ]
    moves = rotate(incumbents, challengers, now, settings.rotation)
    return MarketSelection(now, scores, ensemble, retirements, tuple(moves), tuple(problems))


def _tracks(strategies: Sequence[TrustedStrategy], candles: Candles) -> tuple[dict[str, Track], list[str]]:
    """Return each strategy's track from its own first candle at its own costs, and what could not be evaluated."""
    tables: dict[int, PriceTables] = {}
    tracks: dict[str, Track] = {}
    problems: list[str] = []
    end = int(candles.open_time[-1]) + 1
    for one in strategies:
        try:
            if one.start_time not in tables:
                tables[one.start_time] = price_tables(candles.between(one.start_time, end))
            track = track_of(
                one.strategy_id, one.strategy, one.parameters, tables[one.start_time], one.costs, one.frictions
            )
        except ValueError as error:
            problems.append(f"{one.strategy_id}: {error}")
        else:
            tracks[one.strategy_id] = track
    return tracks, problems


def _is_stale(one: TrustedStrategy, now: int, settings: RetirementSettings) -> bool:
    """Tell whether a strategy's evidence is so old that it would retire as soon as it was deployed."""
    return (now - one.end_time) / DAY_MS > settings.stale_days


def _decay(one: TrustedStrategy, track: Track, now: int, settings: RetirementSettings) -> str | None:
    if one.deployed_at is None:
        return None
    unseen = track.since(day_of(one.train_end_time))
    live = track.since(day_of(one.deployed_at))
    return reason_to_retire(unseen[: len(unseen) - len(live)], live, (now - one.end_time) / DAY_MS, settings)


def _score(
    one: TrustedStrategy,
    track: Track,
    kinds: Mapping[str, KindRecord],
    everything: KindRecord,
    now: int,
    weights: ConfidenceWeights,
) -> Score:
    first_unseen = day_of(one.train_end_time)
    unseen, trades = track.since(first_unseen), track.trades_since(first_unseen)
    kind = kinds.get(one.strategy.name, KindRecord(0, 0))
    value = confidence(unseen, trades, kind, everything, (now - one.end_time) / DAY_MS, weights)
    return Score(one.strategy_id, value, len(unseen), trades)
