"""The promotion decision: each way it can end, and what it looked at on the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alpharay.discovery.search import SearchSettings
from alpharay.market.synthetic import garch_candles
from alpharay.strategies.catalogue import strategy_named
from alpharay.validation.configuration import Configuration, LastGate, configuration_hash
from alpharay.validation.planted_edge import plant_edge, with_drift
from alpharay.validation.promotion import WholeSearch, decide

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
