"""Every strategy trades, looks at nothing ahead, survives JSON, and is the same on the fast path and the plain."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from made_candles import candles_made_for
from waves import random_genomes, wave_candles

from alpharay.backtest.costs import Costs
from alpharay.backtest.market import open_market
from alpharay.backtest.population import backtest_population
from alpharay.backtest.single import backtest_strategy
from alpharay.backtest.walk import OUTCOME_FIELDS
from alpharay.strategies.catalogue import CATALOGUE, strategy_named
from alpharay.strategies.codec import strategy_from_json, strategy_to_json
from alpharay.strategies.evaluation import signals
from alpharay.strategies.strategy import strategy_id

every_strategy = pytest.mark.parametrize("strategy", CATALOGUE.values(), ids=list(CATALOGUE))


@every_strategy
def test_enters_and_exits_on_a_series_made_for_it(strategy):
    result = backtest_strategy(strategy, strategy.defaults, candles_made_for(strategy.name))
    closed = result.trades.filter(result.trades["exit_reason"] == "signal")
    assert len(closed) >= 1
    assert 0.0 < result.metrics.exposure < 1.0


@every_strategy
def test_signals_on_a_prefix_equal_the_prefix_of_the_signals(strategy):
    candles = wave_candles(700, seed=3)
    whole = signals(strategy, strategy.defaults, candles)
    for stop in (1, 2, 57, 263, 499, 699):
        part = signals(strategy, strategy.defaults, candles.slice(0, stop))
        np.testing.assert_array_equal(part.enter, whole.enter[:stop])
        np.testing.assert_array_equal(part.exit, whole.exit[:stop])


@every_strategy
def test_no_signal_rests_on_a_missing_number(strategy):
    few = wave_candles(2, seed=1)
    said = signals(strategy, strategy.defaults, few)
    assert not said.enter.any()
    assert not said.exit.any()


@every_strategy
def test_json_round_trip_keeps_strategy_and_identity(strategy):
    wire = msgspec.json.decode(msgspec.json.encode(strategy_to_json(strategy)))
    again = strategy_from_json(wire)
    assert again == strategy
    identity = strategy_id(wire, strategy.defaults, "A/USD", "1h")
    assert identity == strategy_id(strategy_to_json(strategy), strategy.defaults, "A/USD", "1h")
    assert identity != strategy_id(wire, strategy.defaults, "B/USD", "1h")
    assert identity != strategy_id(wire, strategy.defaults, "A/USD", "4h")
    other = {**strategy.defaults, strategy.parameter_names[0]: strategy.parameters[0].high}
    assert identity != strategy_id(wire, other, "A/USD", "1h")


@every_strategy
@pytest.mark.parametrize("tick", [0.0, 1.0])
def test_population_equals_one_at_a_time_bit_for_bit(strategy, tick):
    candles = wave_candles(1_500, seed=11, tick=tick)
    genomes = random_genomes(strategy, 12, seed=5)
    costs = Costs()
    whole = backtest_population(strategy, genomes, open_market(candles), costs)
    for row, genome in enumerate(genomes):
        alone = backtest_strategy(strategy, strategy.from_genome(genome), candles, costs=costs)
        assert dict(zip(OUTCOME_FIELDS, whole.outcome[row].tolist(), strict=True)) == alone.outcome
        assert whole.row(row) == alone.metrics


@every_strategy
def test_a_batch_has_no_say_in_a_genomes_result(strategy):
    candles = wave_candles(900, seed=13)
    genomes = random_genomes(strategy, 40, seed=6)
    together = backtest_population(strategy, genomes, open_market(candles))
    # The smallest slab holds 16 columns: batches are halved and columns evicted on the way.
    small = open_market(candles, memory_budget=1)
    for rows in (slice(0, 7), slice(7, 40), slice(0, 40)):
        apart = backtest_population(strategy, genomes[rows], small)
        np.testing.assert_array_equal(apart.outcome, together.outcome[rows])
        np.testing.assert_array_equal(apart.daily_equity, together.daily_equity[rows])


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(KeyError, match=r"'NO_SUCH'.*MACD_CROSSOVER"):
        strategy_named("NO_SUCH")
