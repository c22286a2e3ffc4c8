"""Validate one discovered strategy: every gate in order, the diagnostics beside them, and all evidence as one record.

The primary test is the permutation of the whole search. Then walk-forward with re-optimisation, the parameters'
neighbours, the costs' multiples and the false-discovery level of the stream of requests. Only what passes all of them
draws candles from the alpha ledger for the last gate, so that unseen candles are not spent on what is already lost.
Probability of overfitting, deflated Sharpe ratio, superior ability and regimes are shown, with their limits, and decide
nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, Protocol

import msgspec
import numpy as np

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions, frictions_to_json
from alpharay.backtest.metrics import metrics_json
from alpharay.backtest.single import Backtest, backtest_strategy
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.discovery.evaluation import Executor, SerialExecutor
from alpharay.discovery.search import SearchSettings
from alpharay.discovery.split import Split, out_of_sample
from alpharay.market.candles import Candles
from alpharay.strategies.strategy import Strategy
from alpharay.validation.configuration import Configuration, LastGate, configuration_json
from alpharay.validation.cost_stress import CostStress, cost_stress
from alpharay.validation.daily_marks import DailyMarker
from alpharay.validation.diagnostics import Diagnostics, diagnose
from alpharay.validation.excess import excess_sharpe
from alpharay.validation.memory import longest_holding, longest_memory
from alpharay.validation.neighbourhood import KEPT, Neighbourhood, neighbourhood
from alpharay.validation.permutation import PermutationResult, exceedances_at, permutation_test
from alpharay.validation.promotion import Found, WholeSearch
from alpharay.validation.regimes import RegimePerformance, regime_performance
from alpharay.validation.sign_flip import without_bad_ticks
from alpharay.validation.unseen import Draw, UnseenResult, judge_unseen
from alpharay.validation.verdict import (
    COST_STRESS,
    FALSE_DISCOVERY,
    NEIGHBOURHOOD,
    PERMUTATION,
    UNSEEN,
    WALK_FORWARD,
    Gate,
    Verdict,
    above,
    all_passed,
    at_least,
    at_most,
    insufficient,
    not_reached,
    verdict,
)
from alpharay.validation.walk_forward import WalkForward, WalkForwardSettings, walk_forward

OnProgress = Callable[[str, int, int], None]
"""Told the gate that is worked on, how much of it is done, and of how much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationSettings:
    """What a strategy must show.

    Parameters
    ----------
    level : float
        The permutation's p-value must be at most this.
    permutations, most_permutations : int
        Searches of sign-flipped candles; more, up to the second, where the false-discovery level asks for it.
    walk_forward : WalkForwardSettings
        The windows; the excess Sharpe ratio of their joined account must be above 0.
    robust_share : float
        Share of neighbouring parameter sets that must keep half of the score.
    cost_multiple : float
        With costs so many times as high, the excess Sharpe ratio must still be above 0.
    last_gate : LastGate
        What it must do on unseen candles.
    sampled_trials : int
        Parameter sets, evenly spread, from which the diagnostics are computed.
    seed : int
        Decides the flips, the sample and the bootstrap.
    """

    level: float = 0.05
    permutations: int = 199
    most_permutations: int = 999
    walk_forward: WalkForwardSettings = field(default_factory=WalkForwardSettings)
    robust_share: float = 0.5
    cost_multiple: float = 2.0
    last_gate: LastGate = field(default_factory=LastGate)
    sampled_trials: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.permutations <= self.most_permutations:
            raise ValueError(
                f"permutations must be from 1 to most_permutations {self.most_permutations}, was {self.permutations}"
            )
        for name, low, high in (("level", 0.0, 1.0), ("robust_share", 0.0, 1.0), ("cost_multiple", 1.0, 100.0)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be in [{low:g}, {high:g}], was {getattr(self, name)}")
        if self.sampled_trials < 2:
            raise ValueError(f"sampled_trials must be at least 2, was {self.sampled_trials}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The strategy to validate, and the search that found it. Times are UTC ms."""

    strategy: Strategy
    parameters: dict[str, float]
    search: SearchSettings
    costs: Costs = Costs()
    stops: Stops = NO_STOPS
    frictions: Frictions | None = None
    start_time: int
    """Open time of the first candle that the search used."""
    train_end_time: int
    """First open time that the search did not see."""
    end_time: int
    """End of the discovery's window, exclusive: what comes later was unknown when the strategy was found."""


class TestStream(Protocol):
    """The stream of p-values of all requests: what controls the share of false discoveries among them."""

    def next_level(self) -> float:
        """Return the level of the next test, as things stand."""
        ...

    def record(self, p_value: float) -> float:
        """Take this p-value as the next test and return the level at which it counts; asking again changes nothing."""
        ...


@dataclass(frozen=True, slots=True)
class PermutationEvidence:
    """The permutation of the whole search; the null's -inf, where a search found nothing, is None."""

    p_value: float
    observed: float
    null: tuple[float | None, ...]
    permutations: int
    exceedances: int
    stopped_early: bool


@dataclass(frozen=True, slots=True)
class Validation:
    """All evidence about one strategy; `validation_json` gives it as JSON values."""

    strategy_name: str
    parameters: dict[str, float]
    exchange: str
    symbol: str
    timeframe: str
    configuration: str
    """Hash of the settings, the search, the costs and the rules: figures with the same one are comparable."""
    verdict: Verdict
    in_sample: dict[str, float | None]
    held_out: dict[str, float | None] | None
    """The part of the discovery's window that its search did not see; shown on leaderboards, so not unseen."""
    permutation: PermutationEvidence
    walk_forward: WalkForward | None
    neighbourhood: Neighbourhood
    cost_stress: CostStress
    regimes: tuple[RegimePerformance, ...]
    unseen: UnseenResult | None
    diagnostics: Diagnostics
    frictions: dict[str, Any] | None = None
    """What every search and backtest here met beyond fee and slippage; None is nothing."""

    @property
    def status(self) -> str:
        """VALIDATED, REJECTED or INSUFFICIENT."""
        return self.verdict.status


def validate_strategy(
    subject: Subject,
    candles: Candles,
    settings: ValidationSettings = ValidationSettings(),
    *,
    executor: Executor | None = None,
    on_progress: OnProgress = lambda *_: None,
    stream: TestStream | None = None,
    draw: Draw | None = None,
    known_null: Sequence[float] = (),
    on_null: Callable[[int, float], None] = lambda *_: None,
) -> Validation:
    """Validate `subject` on `candles`: those of its market from its window's start to the newest.

    `stream` gives the false-discovery level; without one that gate is the permutation's own level. `draw` takes
    candles from the alpha ledger; without one all that are newer than the discovery count as unseen. `known_null`
    are the permutations of an interrupted attempt. The same inputs give the same record, on any executor.

    Raises ValueError when the candles do not hold the discovery's window, or the parameters do not fit the strategy.
    """
    executor = executor or SerialExecutor()
    candles = without_bad_ticks(candles)
    seen = candles.between(subject.start_time, subject.end_time)
    parts = Split(seen, int(np.searchsorted(seen.open_time, subject.train_end_time)))
    if parts.at < 2:
        raise ValueError(
            f"{candles.symbol} {candles.timeframe} has {parts.at} candles from {subject.start_time} to "
            f"{subject.train_end_time}, where {subject.strategy.name} was found: at least 2 are needed"
        )
    train, configuration = parts.train, _configuration(subject, candles.timeframe, settings)
    in_sample = _backtest(subject, train)

    test = _permutation(configuration, train, in_sample, settings, executor, stream, known_null, on_null, on_progress)
    gates = [_permutation_gate(test, settings)]

    on_progress(WALK_FORWARD, 0, settings.walk_forward.windows)
    forward, gate = _walk_forward(subject, seen, settings, in_sample, executor, on_progress)
    gates.append(gate)

    on_progress(NEIGHBOURHOOD, 0, 1)
    marker = DailyMarker(train, subject.costs, subject.stops, subject.frictions)
    near = neighbourhood(
        subject.strategy, subject.parameters, marker, executor,
        objective=subject.search.objective, min_trades=subject.search.min_trades,
    )  # fmt: skip
    said = (
        f"{near.robust_share:.0%} of {near.neighbours} neighbouring parameter sets keep {KEPT:.0%} of the score "
        f"({settings.robust_share:.0%} are needed)."
    )
    gates.append(at_least(NEIGHBOURHOOD, near.robust_share, settings.robust_share, said))

    on_progress(COST_STRESS, 0, 1)
    multiples = tuple(sorted({1.0, 2.0, 3.0, settings.cost_multiple}))
    stress = cost_stress(
        subject.strategy, subject.parameters, seen, subject.costs, subject.stops, multiples, subject.frictions
    )
    left = stress.at(settings.cost_multiple).excess_sharpe
    said = f"With costs {settings.cost_multiple:g} times as high the excess Sharpe ratio is {left:.2f}."
    gates.append(above(COST_STRESS, left, 0.0, said))

    gates.append(_false_discovery_gate(test, settings, stream))
    unseen, gate = _unseen(subject, candles, configuration, settings, gates, draw, test.observed, on_progress)
    gates.append(gate)

    on_progress("diagnostics", 0, 1)
    return Validation(
        strategy_name=subject.strategy.name,
        parameters=dict(subject.parameters),
        exchange=candles.exchange,
        symbol=candles.symbol,
        timeframe=candles.timeframe,
        configuration=validation_hash(subject, candles.timeframe, settings),
        verdict=verdict(gates),
        in_sample=metrics_json(in_sample.metrics),
        held_out=metrics_json(
            out_of_sample(
                subject.strategy, subject.parameters, parts, subject.costs, subject.stops, subject.frictions
            ).metrics
        )
        if len(parts.test)
        else None,
        permutation=_permutation_evidence(test),
        walk_forward=forward,
        neighbourhood=near,
        cost_stress=stress,
        regimes=regime_performance(_backtest(subject, seen), seen),
        unseen=unseen,
        diagnostics=diagnose(
            subject.strategy, subject.parameters, train, subject.costs, subject.stops, executor,
            sampled=settings.sampled_trials, seed=settings.seed, frictions=subject.frictions,
        ),
        frictions=None if subject.frictions is None else frictions_to_json(subject.frictions),
    )  # fmt: skip


def validation_hash(subject: Subject, timeframe: str, settings: ValidationSettings) -> str:
    """Return the first 16 hexadecimal digits of SHA-256 over everything that decides, but the candles."""
    content = [configuration_json(_configuration(subject, timeframe, settings)), msgspec.to_builtins(settings)]
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:16]


def validation_json(validation: Validation) -> dict[str, Any]:
    """Return the record as JSON values; a figure that is not finite is null."""
    encoded = msgspec.json.encode(validation, enc_hook=_array)
    json: dict[str, Any] = msgspec.json.decode(encoded)
    return json


def _array(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"no JSON form for {type(value).__name__}")


def _configuration(subject: Subject, timeframe: str, settings: ValidationSettings) -> Configuration:
    # Whoever searched all candles leaves none to a last gate inside the window; ours is after it.
    search = replace(subject.search, train_fraction=min(subject.search.train_fraction, 0.999))
    return Configuration(
        strategies=(subject.strategy,),
        timeframe=timeframe,
        search=search,
        costs=subject.costs,
        stops=subject.stops,
        frictions=subject.frictions,
        permutations=settings.permutations,
        level=settings.level,
        last_gate=settings.last_gate,
    )


def _backtest(subject: Subject, candles: Candles) -> Backtest:
    return backtest_strategy(
        subject.strategy,
        subject.parameters,
        candles,
        costs=subject.costs,
        stops=subject.stops,
        frictions=subject.frictions,
    )


def _permutation(
    configuration: Configuration,
    train: Candles,
    in_sample: Backtest,
    settings: ValidationSettings,
    executor: Executor,
    stream: TestStream | None,
    known_null: Sequence[float],
    on_null: Callable[[int, float], None],
    on_progress: OnProgress,
) -> PermutationResult:
    """Test the strategy's own statistic against the best of whole searches: valid whichever champion it was."""
    permutations = settings.permutations
    if stream is not None:
        # No p-value is below 1 / (1 + permutations): fewer could never pass the level of the stream.
        wanted = ceil(1.0 / max(stream.next_level(), 1e-9))
        permutations = min(max(permutations, wanted), settings.most_permutations)
    on_progress(PERMUTATION, len(known_null), permutations)

    def told(number: int, value: float) -> None:
        on_null(number, value)
        on_progress(PERMUTATION, number + 1, permutations)

    return permutation_test(
        WholeSearch(configuration),
        train,
        permutations=permutations,
        seed=settings.seed,
        stop_after=exceedances_at(settings.level, permutations),
        observed=excess_sharpe(in_sample, train),
        known=known_null,
        executor=executor,
        on_null=told,
    )


def _permutation_gate(test: PermutationResult, settings: ValidationSettings) -> Gate:
    return at_most(
        PERMUTATION,
        test.p_value,
        settings.level,
        f"The same search on {len(test.null)} series without an edge did as well {test.exceedances} times "
        f"(p = {test.p_value:.3f}; at most {settings.level:g} passes).",
    )


def _permutation_evidence(test: PermutationResult) -> PermutationEvidence:
    null = tuple(value if np.isfinite(value) else None for value in test.null.tolist())
    return PermutationEvidence(
        test.p_value, test.observed, null, test.permutations, test.exceedances, test.stopped_early
    )


def _walk_forward(
    subject: Subject,
    seen: Candles,
    settings: ValidationSettings,
    in_sample: Backtest,
    executor: Executor,
    on_progress: OnProgress,
) -> tuple[WalkForward | None, Gate]:
    cut = settings.walk_forward
    done: list[object] = []

    def told(window: object) -> None:
        done.append(window)
        on_progress(WALK_FORWARD, len(done), cut.windows)

    try:
        forward = walk_forward(
            subject.strategy,
            seen,
            subject.search,
            cut,
            purged_bars=max(longest_memory(subject.strategy), longest_holding(in_sample)),
            costs=subject.costs,
            stops=subject.stops,
            frictions=subject.frictions,
            executor=executor,
            on_window=told,
        )
    except ValueError as error:
        return None, insufficient(WALK_FORWARD, None, 0.0, f"Walk-forward is not possible: {error}.")
    text = (
        f"Searched again in each of {cut.windows} windows and traded on the candles after it, the excess Sharpe ratio "
        f"is {forward.excess_sharpe:.2f}, {forward.profitable_windows:.0%} of the windows made money."
    )
    return forward, above(WALK_FORWARD, forward.excess_sharpe, 0.0, text)


def _false_discovery_gate(test: PermutationResult, settings: ValidationSettings, stream: TestStream | None) -> Gate:
    if stream is None:
        text = f"No other request is counted, so p = {test.p_value:.3f} stands at the level {settings.level:g}."
        return at_most(FALSE_DISCOVERY, test.p_value, settings.level, text)
    level = stream.record(test.p_value)
    reachable = 1.0 / (1 + test.permutations)
    if test.p_value > level and test.exceedances == 0 and reachable > level:
        text = (
            f"Among all requests p must be at most {level:.2g}, and {test.permutations} permutations cannot show less "
            f"than {reachable:.2g}: ask for more."
        )
        return insufficient(FALSE_DISCOVERY, test.p_value, level, text)
    text = f"Among all requests p = {test.p_value:.3f} counts at the level {level:.2g}."
    return at_most(FALSE_DISCOVERY, test.p_value, level, text)


def _unseen(
    subject: Subject,
    candles: Candles,
    configuration: Configuration,
    settings: ValidationSettings,
    gates: Sequence[Gate],
    draw: Draw | None,
    observed: float,
    on_progress: OnProgress,
) -> tuple[UnseenResult | None, Gate]:
    if not all_passed(gates):
        return None, not_reached(UNSEEN, "No unseen candles were spent on it: a gate before did not pass.")
    on_progress(UNSEEN, 0, 1)
    newer = candles.between(subject.end_time, int(candles.open_time[-1]) + 1)
    result, gate = judge_unseen(
        Found(subject.strategy, subject.parameters, observed), candles, newer, configuration,
        draw=draw, seed=settings.seed,
    )  # fmt: skip
    return result, gate
