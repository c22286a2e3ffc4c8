"""Pooled backtests: one account for several markets, its limits and priorities, by hand and against the single one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_kernel_equals_plain import random_candles

from alpharay.backtest.costs import NO_COSTS, Costs
from alpharay.backtest.frictions import FeeTier, Frictions, Funding, SquareRootImpact
from alpharay.backtest.market import open_market
from alpharay.backtest.metrics import METRIC_NAMES
from alpharay.backtest.pool_tables import pool_tables
from alpharay.backtest.pooled import ONE_POSITION, PoolLimits, backtest_pooled, open_pool
from alpharay.backtest.pooled_single import backtest_pooled_strategy, trade_signals
from alpharay.backtest.population import backtest_population
from alpharay.backtest.single import backtest_strategy
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.backtest.tables import price_tables
from alpharay.market.candles import Candles
from alpharay.strategies.evaluation import Signals
from alpharay.strategies.expression import P, ta
from alpharay.strategies.strategy import Integer, Strategy

LONG = Strategy(
    name="TWO_AVERAGES",
    description="Long while the fast average is above the slow one.",
    parameters=(
        Integer("fast", 2, 20, default=5),
        Integer("slow", 5, 60, default=20),
        Integer("wait", 0, 9, default=0),
    ),
    enter=ta.sma(P.fast) > ta.sma(P.slow),
    exit=ta.sma(P.fast) < ta.sma(P.slow),
    minimum_holding=P.wait,
)
BOTH = replace(LONG, name="TWO_AVERAGES_BOTH", enter_short=LONG.exit, exit_short=LONG.enter)
GENOMES = np.array([[2, 5, 0], [5, 20, 0], [10, 30, 4], [20, 60, 9], [5, 20, 3]], dtype=np.float64)
EVERYTHING = Frictions(
    starting_capital=5_000.0,
    fee_tiers=(FeeTier(volume=1e5, fee=0.0005),),
    impact=SquareRootImpact(coefficient=0.05, participation=0.5),
    tick_size=0.01,
    lot_size=0.1,
    minimum_notional=50.0,
    funding=Funding(short=0.0002, long=0.0001),
)


def market(seed: int, bars: int, symbol: str) -> Candles:
    candles = random_candles(seed, bars)
    times = 1_600_000_020_000 + np.arange(bars) * 60_000
    volume = np.random.default_rng(seed).uniform(0.0, 500.0, bars)
    return replace(candles, symbol=symbol, open_time=times, volume=volume)


def flat_market(prices, start: int = 0, symbol: str = "A/USD") -> Candles:
    price = np.array(prices, dtype=np.float64)
    times = 1_600_000_020_000 + (start + np.arange(len(price))) * 60_000
    return Candles("test", symbol, "1m", times, price, price, price, price, np.ones(len(price)))


def said(bars: int, enter: int | None, leave: int | None = None) -> Signals:
    enters, leaves = np.zeros(bars, dtype=np.bool_), np.zeros(bars, dtype=np.bool_)
    if enter is not None:
        enters[enter] = True
    if leave is not None:
        leaves[leave] = True
    return Signals(enters, leaves)


def run(markets, signals, limits, frictions=None, stops=NO_STOPS, costs=NO_COSTS):
    tables = pool_tables([price_tables(one) for one in markets])
    return trade_signals(signals, tables, costs, stops, 0, limits, frictions or [None] * len(markets))


@pytest.mark.parametrize("strategy", [LONG, BOTH])
@pytest.mark.parametrize("stops", [NO_STOPS, Stops(0.01, 0.02), Stops(trailing_stop=0.02)])
def test_one_market_with_one_position_is_the_single_backtest(strategy, stops):
    candles = random_candles(3, 3000)
    alone = backtest_population(strategy, GENOMES, open_market(candles), Costs(), stops)
    pooled = backtest_pooled(strategy, GENOMES, open_pool([candles]), Costs(), stops)
    for index, name in enumerate(METRIC_NAMES):
        np.testing.assert_allclose(
            pooled.metrics[:, index], alone.metrics[:, index], rtol=1e-9, atol=1e-9, err_msg=name
        )
    np.testing.assert_allclose(pooled.daily_equity, alone.daily_equity, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("strategy", [LONG, BOTH])
@pytest.mark.parametrize("frictions", [None, EVERYTHING])
def test_the_population_and_one_parameter_set_agree(strategy, frictions):
    candles = [market(1, 900, "A/USD"), market(2, 700, "B/USD"), market(3, 1100, "C/USD")]
    limits, costs, stops = PoolLimits(max_positions=2), Costs(), Stops(0.02, 0.05)
    population = backtest_pooled(strategy, GENOMES, open_pool(candles), costs, stops, limits, frictions)
    for index, genome in enumerate(GENOMES):
        alone = backtest_pooled_strategy(
            strategy,
            strategy.from_genome(genome),
            candles,
            costs=costs,
            stops=stops,
            limits=limits,
            frictions=frictions,
        )
        assert population.row(index) == alone.metrics
        assert alone.metrics.trades == len(alone.trades)
        assert alone.equity[-1] == alone.metrics.final_equity
    assert population.metric("trades").min() > 0.0


def test_a_population_with_frictions_is_the_single_backtest_with_them():
    candles = market(4, 2000, "A/USD")
    population = backtest_population(BOTH, GENOMES, open_market(candles), frictions=EVERYTHING)
    for index, genome in enumerate(GENOMES):
        alone = backtest_strategy(BOTH, BOTH.from_genome(genome), candles, frictions=EVERYTHING)
        assert population.row(index) == alone.metrics
    without = backtest_population(BOTH, GENOMES, open_market(candles))
    assert not np.array_equal(population.outcome, without.outcome)


def test_the_same_genome_gives_the_same_bits_in_any_batch():
    candles = [market(1, 900, "A/USD"), market(2, 700, "B/USD")]
    limits = PoolLimits(max_positions=2)
    together = backtest_pooled(BOTH, GENOMES, open_pool(candles), limits=limits)
    pool = open_pool(candles, memory_budget=1)
    apart = [backtest_pooled(BOTH, GENOMES[row : row + 1], pool, limits=limits) for row in range(len(GENOMES))]
    np.testing.assert_array_equal(together.outcome, np.concatenate([one.outcome for one in apart]))
    np.testing.assert_array_equal(together.daily_equity, np.concatenate([one.daily_equity for one in apart]))


def test_each_genome_has_its_own_minimum_holding():
    candles = random_candles(5, 1500)
    population = backtest_population(LONG, GENOMES, open_market(candles))
    for index, genome in enumerate(GENOMES):
        alone = backtest_strategy(LONG, LONG.from_genome(genome), candles)
        assert population.row(index) == alone.metrics
        held = alone.trades.filter(alone.trades["exit_reason"] == "signal")
        # An exit decided on bar t is filled on t + 1.
        assert (held["exit_bar"] - held["entry_bar"]).min() > genome[2]


def test_two_positions_share_the_equity_evenly():
    up, down = flat_market([10, 10, 20, 20]), flat_market([10, 10, 5, 5])
    result = run([up, down], [said(4, 0), said(4, 0)], PoolLimits(max_positions=2))
    # Half of the equity in each: 0.5 * 2 + 0.5 * 0.5.
    assert result.equity.tolist() == pytest.approx([1.0, 1.0, 1.25, 1.25])
    assert result.outcome["exposure_bars"] == pytest.approx(3.0)
    assert result.outcome["sides_traded"] == pytest.approx(1.0)


def test_the_first_market_gets_the_only_position():
    first, second = flat_market([10, 10, 20, 20]), flat_market([10, 10, 5, 5])
    result = run([first, second], [said(4, 0), said(4, 0)], ONE_POSITION)
    assert result.trades[:, 0].tolist() == [0.0]
    result = run([second, first], [said(4, 0), said(4, 0)], ONE_POSITION)
    assert result.equity[-1] == pytest.approx(0.5)


def test_an_exit_makes_room_at_the_same_open():
    first, second = flat_market([10, 10, 20, 20, 20]), flat_market([10, 10, 10, 10, 30])
    result = run([second, first], [said(5, 2), said(5, 0, 2)], ONE_POSITION)
    # The second market is left at the open of bar 3 with twice the equity, which enters the first there.
    assert result.trades[:, [0, 2, 3]].tolist() == [[1.0, 1.0, 3.0], [0.0, 3.0, 4.0]]
    assert result.equity[-1] == pytest.approx(6.0)


def test_an_entry_without_a_free_position_is_dropped():
    first, second = flat_market([10] * 6), flat_market([10] * 6)
    result = run([first, second], [said(6, 0, 2), said(6, 1)], ONE_POSITION)
    assert result.trades[:, 0].tolist() == [0.0]


def test_a_later_stake_is_its_share_of_the_equity_but_never_more_than_the_cash():
    first, second = flat_market([10, 10, 40, 40, 40]), flat_market([10, 10, 10, 10, 20])
    result = run([first, second], [said(5, 0), said(5, 2)], PoolLimits(max_positions=2))
    # Half of the equity of 2.5 would be 1.25; free are 0.5.
    assert result.trades[:, 11].tolist() == pytest.approx([0.5, 0.5])
    assert result.equity[-1] == pytest.approx(3.0)


def test_a_fraction_of_its_own_leaves_cash():
    result = run([flat_market([10, 10, 20])], [said(3, 0)], PoolLimits(max_positions=3, fraction=0.1))
    assert result.equity.tolist() == pytest.approx([1.0, 1.0, 1.1])


def test_a_market_without_a_candle_keeps_its_last_close():
    whole = flat_market([10, 10, 10, 10, 10, 10])
    short = flat_market([10, 10, 20], symbol="B/USD")
    gap = replace(short, open_time=short.open_time + np.array([0, 0, 2 * 60_000]))
    result = run([whole, gap], [said(6, None), said(3, 0)], ONE_POSITION)
    assert result.equity.tolist() == pytest.approx([1.0, 1.0, 1.0, 1.0, 2.0, 2.0])


def test_a_market_that_starts_later_trades_when_it_is_there():
    late = flat_market([10, 10, 30], start=3, symbol="B/USD")
    result = run([flat_market([10] * 6), late], [said(6, None), said(3, 0)], ONE_POSITION)
    assert result.trades[0, [0, 2, 3]].tolist() == [1.0, 1.0, 2.0]
    assert result.equity[-1] == pytest.approx(3.0)


def test_a_short_that_is_liquidated_costs_only_its_stake():
    first, second = flat_market([10, 10, 30, 30]), flat_market([10, 10, 10, 10], symbol="B/USD")
    enters = np.array([True, False, False, False])
    never = np.zeros(4, dtype=np.bool_)
    shorts, flat = Signals(never, never, enters, never), Signals(never, never, never, never)
    result = run([first, second], [shorts, flat], PoolLimits(max_positions=2))
    assert result.trades[:, 7].tolist() == [4.0]
    assert result.equity.tolist() == pytest.approx([1.0, 1.0, 0.5, 0.5])


def test_each_market_has_its_own_lots():
    markets = [flat_market([10, 30, 30]), flat_market([10, 30, 30], symbol="B/USD")]
    frictions = [Frictions(starting_capital=1000.0, lot_size=lot) for lot in (1.0, 10.0)]
    result = run(markets, [said(3, 0), said(3, 0)], PoolLimits(max_positions=2), frictions)
    assert result.trades[:, 8].tolist() == [16.0, 10.0]


def test_no_genomes_give_no_rows():
    result = backtest_pooled(LONG, np.empty((0, 3)), open_pool([market(1, 50, "A/USD")]))
    assert len(result) == 0


def test_markets_without_candles_give_unit_equity():
    empty = flat_market([])
    result = backtest_pooled(LONG, GENOMES, open_pool([empty, empty]))
    assert result.metric("final_equity").tolist() == [1.0] * len(GENOMES)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PoolLimits(max_positions=0), "max_positions must be at least 1, was 0"),
        (lambda: PoolLimits(fraction=1.5), r"fraction must be in \(0, 1\], was 1.5"),
        (lambda: open_pool([]), "markets of a pool must be at least one, was none"),
        (
            lambda: open_pool([flat_market([1.0]), replace(flat_market([1.0]), timeframe="1h")]),
            r"markets of a pool must have one time frame, was \['1h', '1m'\]",
        ),
        (
            lambda: run([flat_market([1.0])] * 2, [said(1, None)] * 2, ONE_POSITION, [Frictions()]),
            "frictions must be one, or one for each of the 2 markets, was 1",
        ),
        (
            lambda: run(
                [flat_market([1.0])] * 2,
                [said(1, None)] * 2,
                ONE_POSITION,
                [Frictions(starting_capital=1.0), Frictions(starting_capital=2.0)],
            ),
            "starting_capital must be the same for all markets, was 2.0 for one of them",
        ),
    ],
)
def test_what_makes_no_pool_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()
