"""Frictions one by one, worked out by hand; what they refuse; their JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from alpharay.backtest.costs import NO_COSTS, Costs
from alpharay.backtest.frictions import (
    FeeTier,
    Frictions,
    Funding,
    SquareRootImpact,
    frictions_from_json,
    frictions_text,
    frictions_to_json,
    read_frictions,
    with_tick_within,
)
from alpharay.backtest.single import backtest
from alpharay.backtest.stops import Stops
from alpharay.market.candles import Candles

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def candles_at(prices, *, volume=None, timeframe="1h", step=HOUR_MS) -> Candles:
    price = np.array(prices, dtype=np.float64)
    times = 1_600_000_000_000 // DAY_MS * DAY_MS + np.arange(len(price)) * step
    volume = np.full(len(price), 1e9) if volume is None else np.array(volume, dtype=np.float64)
    return Candles("test", "A/USD", timeframe, times, price, price, price, price, volume)


def flags(bars, *at) -> np.ndarray:
    said = np.zeros(bars, dtype=np.bool_)
    said[list(at)] = True
    return said


def one_trade(prices, frictions, costs=NO_COSTS, *, enter=0, leave=None, short=False, volume=None, **options):
    candles = candles_at(prices, volume=volume)
    bars = len(candles)
    never, enters, leaves = flags(bars), flags(bars, enter), flags(bars, bars - 2 if leave is None else leave)
    if short:
        options |= {"short_entries": enters, "short_exits": leaves}
        enters, leaves = never, never
    result = backtest(candles, enters, leaves, costs=costs, frictions=frictions, **options)
    return result, result.trades.row(0, named=True) if len(result.trades) else None


def test_a_quantity_is_rounded_down_to_a_lot_and_the_rest_stays_cash():
    result, trade = one_trade([10, 30, 60, 60], Frictions(starting_capital=100.0, lot_size=2.0))
    # 100 / 30 = 3.33 units, one lot of 2 for 60; 40 stay. Sold at 60: 120 + 40.
    assert trade["quantity"] == 2.0
    assert result.equity.tolist() == pytest.approx([1.0, 1.0, 1.6, 1.6])
    assert trade["return"] == pytest.approx(0.6)


def test_a_short_of_lots_keeps_the_rest_as_cash():
    result, trade = one_trade([10, 30, 15, 15], Frictions(starting_capital=100.0, lot_size=2.0), short=True)
    # Two units sold for 60 and bought back for 30.
    assert trade["quantity"] == 2.0
    assert result.metrics.final_equity == pytest.approx(1.3)


def test_less_than_a_lot_is_not_bought():
    result, trade = one_trade([10, 30, 60, 60], Frictions(starting_capital=100.0, lot_size=4.0))
    assert trade is None
    assert result.metrics.final_equity == 1.0


def test_a_quantity_that_is_whole_lots_but_for_rounding_is_not_cut():
    _, trade = one_trade([1, 0.1, 0.1, 0.1], Frictions(starting_capital=0.3, lot_size=1.0))
    assert trade["quantity"] == 3.0


@pytest.mark.parametrize(("minimum", "traded"), [(100.0, True), (100.01, False)])
def test_an_order_below_the_minimum_notional_is_not_made(minimum, traded):
    _, trade = one_trade([10, 10, 10, 10], Frictions(starting_capital=100.0, minimum_notional=minimum))
    assert (trade is not None) == traded


def test_an_exit_below_the_minimum_notional_is_made():
    _, trade = one_trade([10, 10, 1, 1], Frictions(starting_capital=100.0, minimum_notional=50.0))
    assert trade["exit_reason"] == "signal"


def test_fills_are_rounded_to_the_tick_that_is_worse():
    costs = Costs(fee=0.0, slippage=0.01)
    frictions = Frictions(starting_capital=1000.0, tick_size=0.5)
    # Bought at 10 * 1.01 = 10.1, filled at 10.5; sold at 20 * 0.99 = 19.8, filled at 19.5.
    result, trade = one_trade([10, 10, 20, 20], frictions, costs)
    assert (trade["entry_price"], trade["exit_price"]) == (10.0, 20.0)
    assert (trade["entry_fill"], trade["exit_fill"]) == (10.5, 19.5)
    assert result.metrics.final_equity == pytest.approx(19.5 / 10.5)
    # A short sells at 9.9, filled at 9.5, and buys back at 20.2, filled at 20.5: 1000 + 100 * (9.5 - 20.5) < 0.
    result, trade = one_trade([10, 10, 15, 15], frictions, costs, short=True)
    assert (trade["entry_fill"], trade["exit_fill"]) == (9.5, 15.5)
    assert result.metrics.final_equity == pytest.approx((1000.0 + 100.0 * (9.5 - 15.5)) / 1000.0)


def test_a_price_on_a_tick_stays_on_it():
    _, trade = one_trade([0.3, 0.3, 0.7, 0.7], Frictions(tick_size=0.1))
    assert trade["entry_fill"] == pytest.approx(0.3)
    assert trade["exit_fill"] == pytest.approx(0.7)


def test_slippage_grows_with_the_root_of_the_share_of_the_volume():
    impact = SquareRootImpact(coefficient=0.1, participation=1.0)
    frictions = Frictions(starting_capital=100.0, lot_size=1.0, impact=impact)
    result, trade = one_trade([10, 10, 20, 20], frictions, volume=[0, 900, 400, 400])
    # 10 units ask for 10 * (1 + 0.1 * sqrt(10 / 900)): nine lots are paid for, at their own impact.
    assert trade["quantity"] == 9.0
    assert trade["entry_fill"] == pytest.approx(10.0 * (1.0 + 0.1 * 0.1))
    assert trade["exit_fill"] == pytest.approx(20.0 * (1.0 - 0.1 * 0.15))
    assert result.metrics.final_equity == pytest.approx((100.0 - 9 * 10.1 + 9 * 19.7) / 100.0)


def test_an_entry_takes_at_most_its_share_of_the_volume_and_an_exit_is_not_cut():
    impact = SquareRootImpact(coefficient=0.0, participation=0.1)
    result, trade = one_trade([10, 10, 20, 20], Frictions(starting_capital=100.0, impact=impact), volume=[9, 40, 1, 1])
    assert trade["quantity"] == pytest.approx(4.0)
    assert result.metrics.final_equity == pytest.approx(1.4)


def test_an_order_waits_for_a_bar_with_volume():
    frictions = Frictions(starting_capital=100.0, impact=SquareRootImpact(coefficient=0.0, participation=1.0))
    _, trade = one_trade([10] * 9, frictions, leave=4, volume=[5, 0, 0, 50, 50, 0, 0, 50, 50])
    assert (trade["entry_bar"], trade["exit_bar"]) == (3, 7)


def test_a_waiting_entry_is_dropped_by_its_exit_rule():
    frictions = Frictions(starting_capital=100.0, impact=SquareRootImpact(coefficient=0.0, participation=1.0))
    _, trade = one_trade([10] * 9, frictions, leave=1, volume=[5, 0, 0, 50, 50, 50, 50, 50, 50])
    assert trade is None


def test_no_stop_is_filled_on_a_bar_without_volume():
    frictions = Frictions(starting_capital=100.0, impact=SquareRootImpact(coefficient=0.0, participation=1.0))
    _, trade = one_trade([10, 10, 5, 6, 6], frictions, volume=[5, 50, 0, 50, 50], stops=Stops(stop_loss=0.1))
    assert (trade["exit_bar"], trade["exit_price"], trade["exit_reason"]) == (3, 6.0, "stop_loss")


def test_the_fee_follows_the_money_traded_on_the_thirty_days_before():
    tiers = (FeeTier(volume=150.0, fee=0.01), FeeTier(volume=350.0, fee=0.0))
    frictions = Frictions(starting_capital=100.0, lot_size=10.0, fee_tiers=tiers)
    candles = candles_at([1.0] * 45, timeframe="1d", step=DAY_MS)
    enters, leaves = flags(45, 0, 4, 8, 41), flags(45, 2, 6, 10, 43)
    trades = backtest(candles, enters, leaves, costs=Costs(fee=0.1, slippage=0.0), frictions=frictions).trades
    # Day 1: 90 units bought at a fee of 10 % (10 money), sold on day 3 (9 money): 180 traded, 81 money left.
    # Day 5: 80 units at 1 %, sold on day 7: 340 traded. Day 9: 70 at 1 %, 410 traded: nothing on day 11.
    # Day 42: only day 42 - 30 = 12 and later count, and nothing was traded then: 10 % again.
    bought = trades["quantity"].to_list()
    assert bought[:3] == [90.0, 80.0, 70.0]
    assert trades["fees"][0] == pytest.approx(10.0 + 9.0)
    assert trades["fees"][1] == pytest.approx(80.0 / 99.0 + 0.8)
    assert trades["fees"][2] == pytest.approx(70.0 / 99.0)
    assert trades["fees"][3] == pytest.approx(bought[3] / 9.0 + bought[3] / 10.0)


@pytest.mark.parametrize(("bought_on", "fee"), [(31, 0.01), (32, 0.1)])
def test_the_first_of_the_thirty_days_counts_and_the_day_before_it_does_not(bought_on, fee):
    frictions = Frictions(starting_capital=100.0, lot_size=10.0, fee_tiers=(FeeTier(volume=150.0, fee=0.01),))
    candles = candles_at([1.0] * 40, timeframe="1d", step=DAY_MS)
    enters, leaves = flags(40, 0, bought_on - 1), flags(40, 1)
    trades = backtest(candles, enters, leaves, costs=Costs(fee=0.1, slippage=0.0), frictions=frictions).trades
    # 90 units bought on day 1 and sold on day 2: both are in the 30 days before day 31, one is in those before day 32.
    assert trades["quantity"][0] == 90.0
    assert trades["fees"][1] == pytest.approx(trades["quantity"][1] * fee / (1.0 - fee))


def test_a_short_pays_funding_by_calendar_time():
    frictions = Frictions(starting_capital=100.0, funding=Funding(short=0.01, hours=2.0))
    result, trade = one_trade([10, 10, 10, 10, 10], frictions, short=True)
    # Ten units, sold on bar 1 and bought back at the open of bar 4: three hours at 0.5 % an hour of 100.
    assert trade["funding"] == pytest.approx(1.5)
    assert result.equity.tolist() == pytest.approx([1.0, 0.995, 0.99, 0.985, 0.985])


def test_a_long_is_paid_a_negative_rate_over_a_gap():
    candles = candles_at([10] * 5)
    times = candles.open_time + np.array([0, 0, 0, 0, 10 * HOUR_MS])
    candles = Candles("test", "A/USD", "1h", times, *([candles.open] * 4), candles.volume)
    frictions = Frictions(starting_capital=100.0, funding=Funding(long=-0.01, hours=1.0))
    result = backtest(candles, flags(5, 0), flags(5, 3), costs=NO_COSTS, frictions=frictions)
    # Three hours on bars 1 to 3, ten of the gap.
    assert result.trades["funding"][0] == pytest.approx(-13.0)
    assert result.metrics.final_equity == pytest.approx(1.13)


def test_funding_can_liquidate_a_short():
    frictions = Frictions(starting_capital=100.0, funding=Funding(short=0.6, hours=1.0))
    result, trade = one_trade([10, 10, 10, 10, 10], frictions, short=True)
    # 60 an hour of a stake of 100: gone at the close of bar 2, filled at the open of bar 3.
    assert (trade["exit_reason"], trade["exit_bar"]) == ("liquidation", 3)
    assert result.metrics.final_equity == 0.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Frictions(starting_capital=0.0), "starting_capital must be above 0 and finite, was 0.0"),
        (lambda: Frictions(tick_size=-0.1), "tick_size must be above 0 and finite, was -0.1"),
        (lambda: Frictions(lot_size=float("nan")), "lot_size must be above 0 and finite, was nan"),
        (lambda: Frictions(minimum_notional=float("inf")), "minimum_notional must be above 0 and finite, was inf"),
        (lambda: FeeTier(volume=-1.0, fee=0.1), "volume of a fee tier must be in .*, was -1.0"),
        (lambda: FeeTier(volume=1.0, fee=0.5), "fee of a fee tier must be in .*, was 0.5"),
        (
            lambda: Frictions(fee_tiers=(FeeTier(volume=2.0, fee=0.1), FeeTier(volume=1.0, fee=0.1))),
            r"fee_tiers must have growing volumes, was \[2.0, 1.0\]",
        ),
        (lambda: SquareRootImpact(coefficient=-1.0), "coefficient of the impact must be in .*, was -1.0"),
        (lambda: SquareRootImpact(participation=0.0), r"participation of the impact must be in \(0, 1\], was 0.0"),
        (lambda: Funding(short=1.0), "short of the funding must be in .*, was 1.0"),
        (lambda: Funding(hours=0.0), "hours of the funding must be above 0, was 0.0"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_tick_above_the_price_is_refused():
    with pytest.raises(ValueError, match=r"tick_size must be at most the lowest price 10\.0 of A/USD, was 11\.0"):
        one_trade([10, 10, 10], Frictions(tick_size=11.0))


def test_frictions_survive_json():
    every = Frictions(
        starting_capital=5e4,
        fee_tiers=(FeeTier(volume=1e6, fee=0.0008),),
        impact=SquareRootImpact(coefficient=0.05),
        tick_size=0.01,
        lot_size=1e-5,
        minimum_notional=10.0,
        funding=Funding(short=0.0001),
    )
    assert frictions_from_json(frictions_to_json(every)) == every
    assert frictions_to_json(Frictions()) == {"starting_capital": 10_000.0}
    assert frictions_from_json({}) == Frictions()


def test_json_that_is_no_frictions_is_refused_by_name():
    with pytest.raises(ValueError, match=r"was \{'ticks': 0\.1\}"):
        frictions_from_json({"ticks": 0.1})
    with pytest.raises(ValueError, match=r"tick_size must be above 0 and finite, was 0\.0"):
        frictions_from_json({"tick_size": 0.0})
    with pytest.raises(ValueError, match="lot_size"):
        frictions_from_json({"lot_size": "small"})


def test_nested_fields_that_frictions_do_not_have_are_refused():
    with pytest.raises(ValueError, match=r"a fee tier must have fields of fee, volume, was \{'maker': 0\.1\}"):
        frictions_from_json({"fee_tiers": [{"volume": 0, "fee": 0.1, "maker": 0.1}]})
    with pytest.raises(ValueError, match=r"impact must have .* was \{'slope': 1\}"):
        frictions_from_json({"impact": {"slope": 1}})
    with pytest.raises(ValueError, match=r"funding of the frictions was 3: Expected `object"):
        frictions_from_json({"funding": 3})


def test_json_of_frictions_is_what_a_file_holds_and_a_file_tells_its_faults(tmp_path):
    every = Frictions(fee_tiers=(FeeTier(volume=0.0, fee=0.001),), lot_size=0.1)
    file = tmp_path / "costs.json"
    file.write_text(json.dumps(frictions_to_json(every)))
    assert json.loads(file.read_text()) == frictions_to_json(every)
    assert read_frictions(file) == every
    for content, said in (("[]", "cannot be read"), ('{"lot_size": -1}', "lot_size must be above 0"), ("{", "cannot")):
        file.write_text(content)
        with pytest.raises(ValueError, match=f"{file}.*{said}"):
            read_frictions(file)
    with pytest.raises(ValueError, match=r"absent\.json cannot be read"):
        read_frictions(tmp_path / "absent.json")


def test_the_share_of_the_equity_that_an_entry_took_is_told():
    for lot_size, share in ((3.0, 0.6), (None, 1.0)):
        for short in (False, True):
            frictions = Frictions(starting_capital=100.0, lot_size=lot_size)
            _, trade = one_trade([20, 20, 20, 20], frictions, short=short)
            assert trade["invested"] == pytest.approx(share)


def test_words_tell_what_is_on():
    assert frictions_text(Frictions()) == "an account of 10,000"
    some = Frictions(fee_tiers=(FeeTier(volume=0.0, fee=0.001),), tick_size=0.5, funding=Funding())
    assert frictions_text(some) == "an account of 10,000 with fee tiers, tick size 0.5, funding"


def test_a_tick_is_kept_within_the_prices_of_a_made_series():
    candles, lowest = candles_at([20, 3, 20]), 3.0
    assert with_tick_within(Frictions(tick_size=5.0), candles) == Frictions(tick_size=lowest)
    assert with_tick_within(Frictions(tick_size=0.5), candles) == Frictions(tick_size=0.5)
    assert with_tick_within(None, candles) is None
