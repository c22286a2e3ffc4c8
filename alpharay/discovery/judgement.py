"""Judge what a search found on the candles that it did not see."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.metrics import Metrics, metrics_row
from alpharay.backtest.stops import Stops
from alpharay.backtest.tables import PriceTables, price_tables
from alpharay.discovery.report import Champion, DiscoveryReport
from alpharay.discovery.running import RunningSearch
from alpharay.discovery.split import Split, buy_and_hold, out_of_sample
from alpharay.strategies.strategy import Strategy


def judged_champions(
    search: RunningSearch, after: Callable[[Strategy, dict[str, float]], Metrics | None]
) -> tuple[Champion, ...]:
    """Return a search's champions, best score first; `after` says what one did out of sample.

    Raises ValueError for parameters that the strategy does not allow.
    """
    found = search.champions
    champions = []
    for genome, score, metrics in zip(found.genomes, found.scores.tolist(), found.metrics, strict=True):
        parameters = search.strategy.from_genome(genome)
        search.strategy.check(parameters)
        champions.append(Champion(parameters, score, metrics_row(metrics), after(search.strategy, parameters)))
    return tuple(champions)


class Judge:
    """Turns the searches of one market into reports."""

    def __init__(self, parts: Split, costs: Costs, stops: Stops, frictions: Frictions | None = None) -> None:
        self.parts, self.costs, self.stops, self.frictions = parts, costs, stops, frictions

    @cached_property
    def _test_tables(self) -> PriceTables:
        return price_tables(self.parts.test)

    @cached_property
    def _held(self) -> tuple[Metrics, Metrics | None]:
        train, test = self.parts.train, self.parts.test
        in_sample = buy_and_hold(train, self.costs, self.frictions).metrics
        return in_sample, buy_and_hold(test, self.costs, self.frictions).metrics if len(test) else None

    def report(self, search: RunningSearch) -> DiscoveryReport:
        """Return what an ended search found, in sample and out of sample."""
        assert search.stop_reason is not None, "a search is reported after it has ended"
        hold_in_sample, hold_out_of_sample = self._held
        return DiscoveryReport(
            strategy=search.strategy,
            settings=search.settings,
            parts=self.parts,
            costs=self.costs,
            stops=self.stops,
            champions=judged_champions(search, self._after),
            log=tuple(search.log),
            evaluations=search.evaluations,
            stop_reason=search.stop_reason,
            backtest_s=search.backtest_s,
            elapsed_s=search.elapsed_s,
            hold_in_sample=hold_in_sample,
            hold_out_of_sample=hold_out_of_sample,
            frictions=self.frictions,
        )

    def _after(self, strategy: Strategy, parameters: dict[str, float]) -> Metrics | None:
        if len(self.parts.test) == 0:
            return None
        return out_of_sample(
            strategy, parameters, self.parts, self.costs, self.stops, self.frictions, tables=self._test_tables
        ).metrics  # fmt: skip
