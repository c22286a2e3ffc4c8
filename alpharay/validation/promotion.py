"""Promote a discovery or not: the whole search, its permutation test, and candles that nobody has seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from alpharay.backtest.frictions import Frictions, with_tick_within
from alpharay.backtest.single import Backtest, backtest_strategy
from alpharay.discovery.evaluation import Executor
from alpharay.discovery.search import discover_all
from alpharay.discovery.split import Split, out_of_sample, split
from alpharay.market.candles import Candles
from alpharay.market.resampling import resample
from alpharay.strategies.strategy import Strategy
from alpharay.validation.configuration import Configuration, configuration_hash
from alpharay.validation.excess import annual_sharpe, daily_excess, excess_sharpe
from alpharay.validation.permutation import PermutationResult, exceedances_at, permutation_test
from alpharay.validation.sign_flip import without_bad_ticks

Outcome = Literal["promoted", "rejected", "insufficient"]

NOTHING = float("-inf")


@dataclass(frozen=True, slots=True)
class Found:
    """The best result of one search over all strategies of a configuration."""

    strategy: Strategy
    parameters: dict[str, float]
    statistic: float
    """Annual Sharpe ratio of its excess over the exposure-matched market, net of costs, in sample."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """What the candidate did on the candles after the search's."""

    trades: int
    days: int
    statistic: float
    test: PermutationResult | None
    """None when there was too little to test, or the excess was not positive."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome and the evidence for it."""

    outcome: Outcome
    reason: str
    configuration: str
    """Hash of the configuration."""
    train_end_ms: int
    """First open time that the search did not see."""
    found: Found | None
    search_test: PermutationResult | None
    unseen: Unseen | None


@dataclass(frozen=True, slots=True)
class WholeSearch:
    """The statistic that is permuted: all of a configuration's searches on one series. Picklable."""

    configuration: Configuration

    def best(self, candles: Candles) -> Found | None:
        """Return the champion with the largest statistic; None when none traded enough."""
        configuration = self.configuration
        settings = replace(configuration.search, train_fraction=1.0)
        # A flipped series may fall below a tick of the real one.
        frictions = with_tick_within(configuration.frictions, candles)
        reports = discover_all(
            configuration.strategies,
            candles,
            settings,
            costs=configuration.costs,
            stops=configuration.stops,
            frictions=frictions,
        )
        champions = [(report.strategy, champion.parameters) for report in reports for champion in report.champions]
        found = [
            Found(
                strategy, parameters, excess_sharpe(self._backtest(strategy, parameters, candles, frictions), candles)
            )
            for strategy, parameters in champions
        ]
        return max(found, key=lambda item: item.statistic, default=None)

    def _backtest(
        self, strategy: Strategy, parameters: dict[str, float], candles: Candles, frictions: Frictions | None
    ) -> Backtest:
        costs, stops = self.configuration.costs, self.configuration.stops
        return backtest_strategy(strategy, parameters, candles, costs=costs, stops=stops, frictions=frictions)

    def __call__(self, candles: Candles) -> float:
        """Return the statistic of the best, -inf when there is none."""
        found = self.best(candles)
        return found.statistic if found is not None else NOTHING


@dataclass(frozen=True, slots=True)
class UnseenExcess:
    """The statistic of one parameter set on the rows from `at` on; those before only start the indicators."""

    found: Found
    at: int
    configuration: Configuration

    def backtest(self, candles: Candles) -> Backtest:
        """Backtest the rows from `at` on."""
        return out_of_sample(
            self.found.strategy,
            self.found.parameters,
            Split(candles, self.at),
            self.configuration.costs,
            self.configuration.stops,
            with_tick_within(self.configuration.frictions, candles),
        )

    def __call__(self, candles: Candles) -> float:
        """Return the annual Sharpe ratio of the excess."""
        return excess_sharpe(self.backtest(candles), Split(candles, self.at).test)


def decide(
    candles: Candles,
    configuration: Configuration,
    *,
    seed: int = 0,
    executor: Executor | None = None,
    on_null: Callable[[int, float], None] | None = None,
) -> Decision:
    """Search the first part of `candles`, test the best result by permutations, and then on the unseen rest.

    `seed` decides the flips. Each step must hold before the next is taken, so the unseen candles are looked at only
    for a result that passed. `executor` shares out the permutations. Raises ValueError when there are too few candles
    to search, or their time frame does not divide the configuration's.
    """
    if candles.timeframe != configuration.timeframe:
        candles = resample(candles, configuration.timeframe)
    candles = without_bad_ticks(candles)
    parts = split(candles, configuration.search.train_fraction)
    search = WholeSearch(configuration)
    found = search.best(parts.train)

    def verdict(
        outcome: Outcome, reason: str, test: PermutationResult | None = None, unseen: Unseen | None = None
    ) -> Decision:
        return Decision(outcome, reason, configuration_hash(configuration), parts.train_end_time, found, test, unseen)

    if found is None:
        return verdict("rejected", f"no parameter set made {configuration.search.min_trades} trades in sample")
    if not found.statistic > 0.0:
        return verdict("rejected", f"the best excess Sharpe ratio in sample is {found.statistic:.2f}: not above 0")
    test = permutation_test(
        search,
        parts.train,
        permutations=configuration.permutations,
        seed=seed,
        stop_after=exceedances_at(configuration.level, configuration.permutations),
        observed=found.statistic,
        executor=executor,
        on_null=on_null,
    )
    if test.p_value > configuration.level:
        reason = (
            f"p = {test.p_value:.3f} in the permutation of the whole search, above {configuration.level}: "
            "searches of series without an edge find as much"
        )
        return verdict("rejected", reason, test)
    unseen, outcome, reason = _last_gate(UnseenExcess(found, parts.at, configuration), parts, seed)
    return verdict(outcome, reason, test, unseen)


def _last_gate(statistic: UnseenExcess, parts: Split, seed: int) -> tuple[Unseen, Outcome, str]:
    gate = statistic.configuration.last_gate
    result = statistic.backtest(parts.candles)
    daily = daily_excess(result, parts.test)
    trades, days, excess = int(result.metrics.trades), len(daily), annual_sharpe(daily)
    for name, count, least in (("trades", trades, gate.min_trades), ("days", days, gate.min_days)):
        if count < least:
            reason = f"{count} {name} on unseen candles, {least} are needed: wait for newer candles"
            return Unseen(trades, days, excess, None), "insufficient", reason
    if not excess > 0.0:
        reason = f"the excess Sharpe ratio on unseen candles is {excess:.2f}: not above 0"
        return Unseen(trades, days, excess, None), "rejected", reason
    test = permutation_test(
        statistic,
        parts.candles,
        permutations=gate.permutations,
        seed=seed,
        stop_after=exceedances_at(gate.level, gate.permutations),
        start=parts.at,
        observed=excess,
    )
    unseen = Unseen(trades, days, excess, test)
    if test.p_value > gate.level:
        return unseen, "rejected", f"p = {test.p_value:.2f} on unseen candles, above {gate.level}"
    return unseen, "promoted", f"excess Sharpe ratio {excess:.2f} on unseen candles, p = {test.p_value:.2f}"
