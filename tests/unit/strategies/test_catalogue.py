"""Every strategy trades, looks at nothing ahead, survives JSON, and is the same on the fast path and the plain."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import msgspec
import numpy as np
import polars as pl
import pytest
from made_candles import candles_made_for
from waves import random_genomes, wave_candles

from alpharay.backtest.costs import Costs
from alpharay.backtest.market import open_market
from alpharay.backtest.population import backtest_population
from alpharay.backtest.settlement import OUTCOME_FIELDS
from alpharay.backtest.single import backtest_strategy
from alpharay.strategies.catalogue import CATALOGUE, NOTES, strategy_named
from alpharay.strategies.codec import strategy_from_json, strategy_to_json
from alpharay.strategies.evaluation import signals
from alpharay.strategies.strategy import strategy_id

THE_SIXTY = """
ADX_DMI ADX_STOCHASTIC AROON_MFI ATR_CCI ATR_TRAILING_STOP AWESOME_OSCILLATOR BBAND_W_R CHAIKIN_OSCILLATOR
CMF_ZERO_LINE CMO_MFI DEMA_TEMA_CROSSOVER DONCHIAN_BREAKOUT DOUBLE_EMA_CROSSOVER DOUBLE_TOP_BOTTOM DPO_CROSSOVER
ELDER_RAY_MA EMA_MACD FIBONACCI_RETRACEMENTS FRAMA GANN_SWING HEIKEN_ASHI ICHIMOKU_CLOUD KLINGER_VOLUME KST_OSCILLATOR
LINEAR_REGRESSION_CHANNELS MACD_CROSSOVER MASS_INDEX MOMENTUM_PINBALL MOMENTUM_SMA_CROSSOVER OBV_EMA PARABOLIC_SAR PIVOT
PRICE_GAP PRICE_OSCILLATOR_SIGNAL PVT RAINBOW_OSCILLATOR RANGE_BARS REGRESSION_CHANNEL RENKO_CHART ROC_MA_CROSSOVER
RSI_EMA_CROSSOVER RVI SAR_MFI SMA_EMA_CROSSOVER SMA_RSI STOCHASTIC_EMA STOCHASTIC_RSI TICK_VOLUME_ANALYSIS
TRIPLE_EMA_CROSSOVER TRIX_SIGNAL_LINE VARIABLE_PERIOD_EMA VOLATILITY_STOP VOLUME_BREAKOUT VOLUME_PROFILE
VOLUME_PROFILE_DEVIATIONS VOLUME_SPREAD_ANALYSIS VOLUME_WEIGHTED_MACD VPT VWAP_CROSSOVER VWAP_MEAN_REVERSION
""".split()  # noqa: SIM905 - a list would take sixty lines

every_strategy = pytest.mark.parametrize("strategy", CATALOGUE.values(), ids=list(CATALOGUE))


def test_the_catalogue_holds_the_sixty_by_name():
    assert list(CATALOGUE) == sorted(THE_SIXTY)
    assert len(CATALOGUE) == 60


@every_strategy
def test_the_description_ends_in_its_source(strategy):
    assert re.search(r"\(.*(19|20)\d\d.*\)", strategy.description)


def test_notes_are_about_strategies_of_the_catalogue():
    assert set(NOTES) <= set(CATALOGUE)


def test_no_two_strategies_enter_on_the_same_bars():
    candles = wave_candles()
    entered = {name: signals(one, one.defaults, candles).enter for name, one in CATALOGUE.items()}
    for one, other in itertools.combinations(entered, 2):
        assert not np.array_equal(entered[one], entered[other]), f"{one} is {other}"


@every_strategy
@pytest.mark.parametrize("volume", [0.0, 5.0])
def test_a_flat_market_is_never_entered(strategy, volume):
    columns = {name: np.full(600, 100.1) for name in ("open", "high", "low", "close")}
    flat = replace(wave_candles(600), **columns, volume=np.full(600, volume))
    assert not signals(strategy, strategy.defaults, flat).enter.any()
    assert len(backtest_strategy(strategy, strategy.defaults, flat).trades) == 0


@every_strategy
def test_no_trade_has_a_missing_number(strategy):
    for genome in random_genomes(strategy, 5, seed=9):
        result = backtest_strategy(strategy, strategy.from_genome(genome), candles_made_for(strategy.name))
        numbers = result.trades.select(pl.selectors.float()).to_numpy()
        assert np.isfinite(numbers).all()
        assert np.isfinite(list(result.outcome.values())).all()


@every_strategy
def test_a_market_without_volume_is_answered_without_a_missing_number(strategy):
    quiet = replace(wave_candles(600), volume=np.zeros(600))
    result = backtest_strategy(strategy, strategy.defaults, quiet)
    assert np.isfinite(list(result.outcome.values())).all()


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
