import numpy as np
import pytest

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.single import backtest_strategy
from alpharay.backtest.tables import price_tables
from alpharay.market.sample import sample_candles
from alpharay.selection.track import annual_sharpe, day_of, track_of
from alpharay.strategies.catalogue import strategy_named


@pytest.fixture(scope="module")
def candles():
    return next(iter(sample_candles())).slice(0, 1_500)


def test_track_compounds_to_the_backtest_and_its_sharpe_is_the_metrics_one(candles):
    strategy = strategy_named("SMA_EMA_CROSSOVER")
    track = track_of("id", strategy, strategy.defaults, price_tables(candles))
    whole = backtest_strategy(strategy, strategy.defaults, candles)
    assert np.prod(1.0 + track.returns) == pytest.approx(whole.metrics.final_equity)
    assert annual_sharpe(track.returns) == pytest.approx(whole.metrics.sharpe)
    assert track.trades_since(0) == whole.metrics.trades
    assert track.first_day * 86_400_000 <= candles.open_time[0] < (track.first_day + 1) * 86_400_000


@pytest.mark.parametrize("name", ["SMA_EMA_CROSSOVER", "RSI_EMA_CROSSOVER"])
def test_an_account_of_money_with_nothing_on_has_the_track_of_the_fast_walk(candles, name):
    strategy = strategy_named(name)
    plain = track_of("id", strategy, strategy.defaults, price_tables(candles))
    account = track_of("id", strategy, strategy.defaults, price_tables(candles), Costs(), Frictions())
    np.testing.assert_allclose(account.returns, plain.returns, rtol=0.0, atol=1e-9)
    assert account.trade_days.tolist() == plain.trade_days.tolist()
    assert (account.first_day, account.holds) == (plain.first_day, plain.holds)


def test_a_track_with_costs_and_frictions_compounds_to_the_backtest_with_them(candles):
    strategy, costs = strategy_named("SMA_EMA_CROSSOVER"), Costs(fee=0.004)
    frictions = Frictions(starting_capital=5e4, lot_size=0.5, minimum_notional=100.0)
    found = []
    for terms in ({}, {"costs": costs}, {"costs": costs, "frictions": frictions}):
        track = track_of("id", strategy, strategy.defaults, price_tables(candles), **terms)
        whole = backtest_strategy(strategy, strategy.defaults, candles, **terms).metrics
        assert np.prod(1.0 + track.returns) == pytest.approx(whole.final_equity)
        assert annual_sharpe(track.returns) == pytest.approx(whole.sharpe)
        assert track.trades_since(0) == whole.trades
        found.append(whole.final_equity)
    assert found[0] > found[1]
    assert len(set(found)) == 3


def test_track_since_a_day_keeps_that_day_and_later(candles):
    strategy = strategy_named("SMA_EMA_CROSSOVER")
    track = track_of("id", strategy, strategy.defaults, price_tables(candles))
    assert len(track.since(track.first_day + 10)) == len(track.returns) - 10
    assert len(track.since(0)) == len(track.returns)
    assert len(track.since(track.first_day + 10**6)) == 0


def test_more_candles_do_not_change_the_days_before(candles):
    strategy = strategy_named("RSI_EMA_CROSSOVER")
    whole = track_of("id", strategy, strategy.defaults, price_tables(candles))
    part = track_of("id", strategy, strategy.defaults, price_tables(candles.slice(0, 900)))
    assert np.array_equal(part.returns, whole.returns[: len(part.returns)])


def test_track_without_candles_is_empty(candles):
    strategy = strategy_named("SMA_RSI")
    track = track_of("id", strategy, strategy.defaults, price_tables(candles.slice(0, 0)))
    assert len(track.returns) == 0
    assert not track.holds


def test_day_of_is_the_first_day_that_begins_later_or_then():
    assert day_of(0) == 0
    assert day_of(1) == 1
    assert day_of(86_400_000) == 1


def test_sharpe_of_flat_or_single_days_is_zero():
    assert annual_sharpe(np.zeros(5)) == 0.0
    assert annual_sharpe(np.array([0.5])) == 0.0
