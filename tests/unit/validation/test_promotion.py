"""The promotion decision: each way it can end, and what it looked at on the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import FeeTier, Frictions
from alpharay.backtest.stops import Stops
from alpharay.discovery.evaluation import SerialExecutor
from alpharay.discovery.search import SearchSettings
from alpharay.discovery.split import out_of_sample, split
from alpharay.market.synthetic import garch_candles
from alpharay.strategies.catalogue import strategy_named
from alpharay.validation.configuration import Configuration, LastGate, configuration_hash
from alpharay.validation.planted_edge import plant_edge, with_drift
from alpharay.validation.promotion import UnseenExcess, WholeSearch, decide

ORACLE = strategy_named("SMA_EMA_CROSSOVER")
CONFIGURATION = Configuration(
    strategies=(ORACLE,),
    timeframe="1h",
    search=SearchSettings(population=16, generations=2, top_n=1, objective="sharpe", train_fraction=0.6, min_trades=60),
    permutations=19,
    level=0.05,
    last_gate=LastGate(permutations=19),
)


@pytest.fixture(scope="module")
def planted():
    return plant_edge(garch_candles(6_000, 21), ORACLE, {"sma": 40, "ema": 12}, 10.0)


def test_a_strong_edge_is_promoted_with_the_evidence(planted):
    decision = decide(planted.candles, CONFIGURATION)
    assert decision.outcome == "promoted", decision.reason
    assert decision.configuration == configuration_hash(CONFIGURATION)
    assert decision.train_end_ms == planted.candles.open_time[3_600]
    assert decision.search_test.p_value == 1 / 20
    assert decision.search_test.observed == decision.found.statistic > decision.search_test.null.max()
    assert decision.unseen.trades >= 30
    assert decision.unseen.days == 100
    assert decision.unseen.test.p_value <= 0.2


def test_the_same_seed_decides_the_same_in_any_time_frame_it_was_given(planted):
    first, second = (decide(planted.candles, CONFIGURATION, seed=3) for _ in range(2))
    assert first.reason == second.reason
    np.testing.assert_array_equal(first.search_test.null, second.search_test.null)


def test_an_edge_that_turned_after_the_search_is_rejected_on_unseen_candles(planted):
    turned = np.where(np.arange(6_000) >= 3_600, planted.position, 0.0)
    candles = with_drift(planted.candles, turned, -2.0 * planted.drift)
    decision = decide(candles, CONFIGURATION)
    assert decision.search_test.p_value == 1 / 20
    assert decision.outcome == "rejected"
    assert "on unseen candles" in decision.reason


def test_too_few_unseen_trades_or_days_are_insufficient(planted):
    for gate, named in ((LastGate(min_trades=10_000), "trades"), (LastGate(min_days=101), "days")):
        decision = decide(planted.candles, replace(CONFIGURATION, last_gate=gate))
        assert decision.outcome == "insufficient"
        assert f"{named} on unseen candles" in decision.reason
        assert decision.unseen.test is None


def test_a_search_that_finds_nothing_is_rejected_without_looking_at_unseen_candles():
    settings = replace(CONFIGURATION.search, min_trades=10_000)
    decision = decide(garch_candles(2_000, 1), replace(CONFIGURATION, search=settings))
    assert (decision.outcome, decision.found, decision.search_test, decision.unseen) == ("rejected", None, None, None)
    assert "10000 trades" in decision.reason


def test_a_market_without_an_edge_is_rejected():
    decision = decide(garch_candles(4_000, 2), CONFIGURATION)
    assert decision.outcome == "rejected"
    assert decision.unseen is None


def test_the_search_sees_only_the_training_part(planted):
    """Whatever comes later, the candidate and its p-value are the same."""
    crash = planted.candles.close.copy()
    crash[3_600:] *= np.exp(-np.arange(2_400) * 1e-3)
    changed = replace(
        planted.candles,
        close=crash,
        high=np.maximum(planted.candles.high, crash),
        low=np.minimum(planted.candles.low, crash),
    )
    before, after = (decide(candles, CONFIGURATION) for candles in (planted.candles, changed))
    assert before.found == after.found
    assert before.search_test.p_value == after.search_test.p_value
    assert before.unseen.statistic != after.unseen.statistic


def test_finer_candles_are_resampled_first():
    fine = garch_candles(4_000, 3, timeframe="30m")
    assert decide(fine, CONFIGURATION).outcome == "rejected"
    with pytest.raises(ValueError, match="whole multiple"):
        decide(garch_candles(100, 3, timeframe="4h"), CONFIGURATION)


def test_the_statistic_of_a_search_is_that_of_its_best_family():
    candles = garch_candles(3_000, 4)
    both = replace(CONFIGURATION, strategies=(ORACLE, strategy_named("MACD_CROSSOVER")))
    single = [WholeSearch(replace(CONFIGURATION, strategies=(item,)))(candles) for item in both.strategies]
    assert WholeSearch(both)(candles) == max(single)


def test_the_last_gate_takes_as_many_trades_and_days_as_it_asks_for_and_no_fewer(planted):
    trades = decide(planted.candles, CONFIGURATION).unseen.trades
    just = decide(
        planted.candles, replace(CONFIGURATION, last_gate=LastGate(min_trades=trades, min_days=100, permutations=19))
    )
    assert just.outcome == "promoted", just.reason
    more = decide(
        planted.candles,
        replace(CONFIGURATION, last_gate=LastGate(min_trades=trades + 1, min_days=100, permutations=19)),
    )
    assert (more.outcome, more.unseen.trades) == ("insufficient", trades)
    assert f"{trades} trades on unseen candles, {trades + 1} are needed" in more.reason


def test_a_search_without_candidates_has_the_least_statistic_there_is():
    settings = replace(CONFIGURATION.search, min_trades=10_000)
    search = WholeSearch(replace(CONFIGURATION, search=settings))
    assert search(garch_candles(2_000, 1)) == -np.inf
    assert search.best(garch_candles(2_000, 1)) is None


def test_permutations_are_told_one_by_one_and_end_when_the_level_cannot_be_reached(planted):
    told = []
    decision = decide(planted.candles, CONFIGURATION, on_null=lambda number, value: told.append((number, value)))
    assert told == list(enumerate(decision.search_test.null.tolist()))
    assert len(told) == 19
    edgeless = decide(with_drift(garch_candles(4_000, 5), np.ones(4_000), 2e-4), CONFIGURATION)
    assert edgeless.outcome == "rejected"
    if edgeless.search_test is not None:
        assert edgeless.search_test.p_value > 0.05
        assert len(edgeless.search_test.null) < 19, "one exceedance is enough to lose"
        assert f"p = {edgeless.search_test.p_value:.3f}" in edgeless.reason


def test_another_seed_flips_other_days_and_a_search_shared_out_is_the_same(planted):
    first, second = (decide(planted.candles, CONFIGURATION, seed=seed) for seed in (1, 2))
    assert first.found == second.found
    assert first.search_test.null.tolist() != second.search_test.null.tolist()
    assert first.unseen.test.null.tolist() != second.unseen.test.null.tolist()
    shared = decide(planted.candles, CONFIGURATION, seed=1, executor=SerialExecutor())
    assert shared.search_test.null.tolist() == first.search_test.null.tolist()


def test_costs_stops_and_frictions_reach_the_search_and_the_unseen_candles(planted):
    plain = decide(planted.candles, CONFIGURATION)
    small = replace(CONFIGURATION, search=replace(CONFIGURATION.search, population=4, generations=1, min_trades=5))
    some = planted.candles.slice(0, 1_000)
    for changes in (
        {"costs": Costs(fee=0.004)},
        {"stops": Stops(stop_loss=0.01)},
        {"frictions": Frictions(fee_tiers=(FeeTier(volume=0.0, fee=0.004),))},
    ):
        other = replace(CONFIGURATION, **changes)
        assert WholeSearch(replace(small, **changes))(some) != WholeSearch(small)(some)
        parts = split(planted.candles, 0.6)
        unseen = UnseenExcess(plain.found, parts.at, other)
        assert unseen(planted.candles) != plain.unseen.statistic
        expected = out_of_sample(plain.found.strategy, plain.found.parameters, parts, **changes)
        assert unseen.backtest(planted.candles).metrics == expected.metrics
    assert UnseenExcess(plain.found, 3_600, CONFIGURATION)(planted.candles) == plain.unseen.statistic
