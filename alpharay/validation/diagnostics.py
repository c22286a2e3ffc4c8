"""Figures that are shown beside the verdict and decide nothing, each with what it cannot tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions, with_tick_within
from alpharay.backtest.single import backtest_strategy
from alpharay.backtest.stops import Stops
from alpharay.backtest.tables import day_ends
from alpharay.discovery.evaluation import Executor
from alpharay.discovery.search_space import search_space
from alpharay.market.candles import Candles, FloatArray
from alpharay.strategies.strategy import Strategy
from alpharay.validation.clusters import correlation_clusters, thinned, without_market
from alpharay.validation.daily_marks import DailyMarker, daily_marks, daily_returns, daily_sharpe
from alpharay.validation.deflated_sharpe import DeflatedSharpe, deflated_sharpe
from alpharay.validation.excess import daily_excess
from alpharay.validation.overfitting import BLOCKS, overfitting, space_filling_sample
from alpharay.validation.sign_flip import sign_flipped
from alpharay.validation.superior_predictive_ability import SuperiorAbility, superior_ability

NULL_MARKETS = 4
"""Sign-flipped series over which the variance of trials without an edge is averaged."""

SPREAD_TRIALS = 64
"""Evenly spread trials in the cross-validation, beside one of each cluster."""

LOGIT_BINS = 40

LIMITS = {
    "overfitting": (
        "Says how often the best of a sample of this strategy's parameter sets falls below the median on other days; "
        "where all sets earn the same the ranking is luck, and the figure is near one half however good they are."
    ),
    "deflated_sharpe": (
        "Counts clusters of returns (less the market's part) in an even sample of the parameter space as trials, and "
        "takes daily returns as independent; it knows nothing of other strategies that were searched."
    ),
    "superior_ability": (
        "Bootstraps daily excess over the exposure-matched market of one set a cluster, in sample; with few days it "
        "finds little, and it cannot see that parameters were refined after the sample."
    ),
}


@dataclass(frozen=True, slots=True)
class OverfittingSummary:
    """The cross-validation's splits in a form that can be drawn."""

    probability: float
    probability_of_loss: float
    degradation: float
    trials: int
    blocks: int
    logit_edges: tuple[float, ...]
    logit_counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """What was computed; None where `notes` say why it could not be."""

    sampled_trials: int
    clusters: int
    overfitting: OverfittingSummary | None
    deflated_sharpe: DeflatedSharpe | None
    superior_ability: SuperiorAbility | None
    notes: tuple[str, ...]
    limits: dict[str, str]


def diagnose(
    strategy: Strategy,
    parameters: Mapping[str, float],
    train: Candles,
    costs: Costs,
    stops: Stops,
    executor: Executor,
    *,
    sampled: int,
    seed: int,
    frictions: Frictions | None = None,
) -> Diagnostics:
    """Compute the diagnostics of one parameter set over the candles that its search saw.

    The trials are an even sample of the search space, for the search's own population has converged: hundreds of
    copies of one trial. What the sample has as clusters, the search has tried too in its random first generation.
    """
    own = strategy.genome(parameters)
    sample = space_filling_sample(search_space(strategy), sampled, seed)
    genomes = np.concatenate([own[None, :], sample[~(sample == own).all(axis=1)]])
    marks = daily_marks(strategy, genomes, DailyMarker(train, costs, stops, frictions), executor)
    ends = day_ends(train.open_time)
    market = daily_returns(train.close[ends] / train.open[0])
    clusters = correlation_clusters(without_market(marks.returns, market))
    chosen = np.unique(np.concatenate([[0], thinned(len(genomes), SPREAD_TRIALS), clusters.representatives]))
    one_a_cluster = genomes[clusters.representatives]
    notes: list[str] = []

    summary = None
    try:
        summary = _summary(marks.returns[chosen])
    except ValueError as error:
        notes.append(f"overfitting: {error}")
    null_variance = _null_variance(strategy, one_a_cluster, train, costs, stops, frictions, executor, seed)
    deflated = deflated_sharpe(marks.returns[0], clusters.count, null_variance)
    ability = None
    try:
        tested = np.unique(np.concatenate([own[None, :], one_a_cluster]), axis=0)
        ability = superior_ability(_excess(strategy, tested, train, costs, stops, frictions), seed=seed)
    except ValueError as error:
        notes.append(f"superior_ability: {error}")
    return Diagnostics(len(genomes), clusters.count, summary, deflated, ability, tuple(notes), LIMITS)


def _summary(returns: FloatArray) -> OverfittingSummary:
    found = overfitting(returns, BLOCKS)
    counts, edges = np.histogram(found.logits, LOGIT_BINS)
    return OverfittingSummary(
        found.probability, found.probability_of_loss, found.degradation, found.trials, found.blocks,
        tuple(edges.tolist()), tuple(counts.tolist()),
    )  # fmt: skip


def _null_variance(
    strategy: Strategy,
    genomes: FloatArray,
    train: Candles,
    costs: Costs,
    stops: Stops,
    frictions: Frictions | None,
    executor: Executor,
    seed: int,
) -> float:
    """Return the mean variance of the trials' daily Sharpe ratios on series without an edge; 0 for one trial."""
    if len(genomes) < 2:
        return 0.0
    variances = []
    for number in range(NULL_MARKETS):
        flipped = sign_flipped(train, np.random.default_rng([0xDEF1, seed, number]))
        marker = DailyMarker(flipped, costs, stops, with_tick_within(frictions, flipped))
        marks = daily_marks(strategy, genomes, marker, executor)
        variances.append(float(np.var(daily_sharpe(marks.returns), ddof=1)))
    return float(np.mean(variances))


def _excess(
    strategy: Strategy,
    genomes: FloatArray,
    train: Candles,
    costs: Costs,
    stops: Stops,
    frictions: Frictions | None,
) -> FloatArray:
    rows = []
    for genome in genomes:
        parameters = strategy.from_genome(genome)
        result = backtest_strategy(strategy, parameters, train, costs=costs, stops=stops, frictions=frictions)
        rows.append(daily_excess(result, train))
    return np.array(rows)
