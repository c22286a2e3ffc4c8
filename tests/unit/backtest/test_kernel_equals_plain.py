"""The kernel against the plain engine: trades and durations equal; equity to 1e-12; moments to 1e-9."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_engine import run_plain

from alpharay.backtest.costs import Costs
from alpharay.backtest.single import backtest
from alpharay.backtest.stops import NO_STOPS, AtrTrail, Stops
from alpharay.indicators.registry import INDICATORS
from alpharay.market.candles import Candles


def random_candles(seed: int, bars: int, *, tick: float = 0.0, volatility: float = 0.01, gaps: bool = True) -> Candles:
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, volatility, bars)))
    opens = np.concatenate([[100.0], close[:-1]])[:bars] * np.exp(rng.normal(0.0, volatility / 4, bars))
    high = np.maximum(opens, close) * (1.0 + np.abs(rng.normal(0.0, volatility / 2, bars)))
    low = np.minimum(opens, close) / (1.0 + np.abs(rng.normal(0.0, volatility / 2, bars)))
    if tick:
        opens, high, low, close = (np.maximum(np.round(x / tick) * tick, tick) for x in (opens, high, low, close))
    steps = rng.choice([1, 1, 1, 1, 2, 700, 3000], bars) if gaps else np.ones(bars, dtype=np.int64)
    open_time = 1_600_000_020_000 + np.cumsum(steps) * 60_000
    return Candles("test", "A/USD", "1m", open_time.astype(np.int64), opens, high, low, close, np.ones(bars))


def check(candles: Candles, flags, costs: Costs, stops: Stops = NO_STOPS, minimum_holding: int = 0) -> None:
    enter, leave, *short = flags
    short_entries, short_exits = short or (None, None)
    ours = backtest(
        candles,
        enter,
        leave,
        short_entries=short_entries,
        short_exits=short_exits,
        costs=costs,
        stops=stops,
        minimum_holding=minimum_holding,
    )
    fractions = (stops.stop_loss or 0.0, stops.take_profit or 0.0, stops.trailing_stop or 0.0)
    distance = None
    if stops.atr_trail is not None:
        ranges = INDICATORS["atr"](candles.high, candles.low, candles.close, stops.atr_trail.length)
        distance = (stops.atr_trail.multiple * ranges).tolist()
    plain = run_plain(
        candles,
        enter,
        leave,
        short_entries,
        short_exits,
        costs.fee,
        costs.slippage,
        fractions,
        distance,
        minimum_holding,
    )
    got = [
        (1 if side == "long" else -1, entry, leave_bar, entry_price, exit_price, reason)
        for side, entry, leave_bar, entry_price, exit_price, reason in ours.trades.select(
            "side", "entry_bar", "exit_bar", "entry_price", "exit_price", "exit_reason"
        ).iter_rows()
    ]
    assert got == plain.trades
    assert ours.outcome["drawdown_bars"] == plain.drawdown_bars
    assert ours.outcome["exposure_bars"] == plain.exposure
    assert ours.outcome["final_equity"] == pytest.approx(plain.equity, rel=1e-12, abs=1e-15)
    assert ours.outcome["max_drawdown"] == pytest.approx(plain.max_drawdown, abs=1e-12)
    assert ours.outcome["wins"] == sum(profit > 0 for profit in plain.profits)
    assert ours.outcome["gross_profit"] == pytest.approx(sum(p for p in plain.profits if p > 0), rel=1e-9, abs=1e-12)
    assert ours.outcome["gross_loss"] == pytest.approx(-sum(p for p in plain.profits if p <= 0), rel=1e-9, abs=1e-12)
    bars = len(candles)
    mean = sum(plain.returns) / bars
    assert ours.outcome["bar_mean"] == pytest.approx(mean, rel=1e-9, abs=1e-12)
    variance = sum(r * r for r in plain.returns) / bars - mean * mean
    assert ours.outcome["bar_variance"] == pytest.approx(max(variance, 0.0), rel=1e-9, abs=1e-12)
    downside = sum(r * r for r in plain.returns if r < 0) / bars
    assert ours.outcome["bar_downside"] == pytest.approx(downside, rel=1e-9, abs=1e-12)
    daily = np.array(plain.daily)
    before = np.concatenate([[1.0], daily[:-1]])
    changes = np.divide(daily - before, before, out=np.zeros_like(daily), where=before > 0.0)
    if len(changes) > 1 and changes.std(ddof=1) > 1e-12:
        sharpe = changes.mean() / changes.std(ddof=1) * np.sqrt(365.0)
        assert ours.metrics.sharpe == pytest.approx(sharpe, rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(ours.equity, plain.closes, rtol=1e-12, atol=1e-15)


def random_flags(seed: int, bars: int, density: float, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed + 1)
    return [rng.random(bars) < density for _ in range(count)]


SOME_COSTS = [Costs(0.0, 0.0), Costs(0.001, 0.0002), Costs(0.02, 0.01)]
SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=150, deadline=None)
@given(
    SEEDS,
    st.integers(1, 700),
    st.sampled_from([0.005, 0.05, 0.4]),
    st.sampled_from(SOME_COSTS),
    st.booleans(),
)
def test_long_only_on_random_candles(seed, bars, density, costs, ties):
    candles = random_candles(seed, bars, tick=1.0 if ties else 0.0)
    check(candles, random_flags(seed, bars, density, 2), costs)


@settings(max_examples=150, deadline=None)
@given(SEEDS, st.integers(1, 400), st.sampled_from([0.02, 0.2]), st.sampled_from(SOME_COSTS), st.booleans())
def test_long_and_short_on_random_candles(seed, bars, density, costs, wild):
    candles = random_candles(seed, bars, volatility=0.15 if wild else 0.01)
    check(candles, random_flags(seed, bars, density, 4), costs)


@settings(max_examples=200, deadline=None)
@given(
    SEEDS,
    st.integers(1, 400),
    st.sampled_from([0.02, 0.2]),
    st.sampled_from([None, 0.004, 0.05]),
    st.sampled_from([None, 0.006, 0.08]),
    st.sampled_from([None, 0.005, 0.06]),
    st.booleans(),
)
def test_stops_on_random_candles(seed, bars, density, stop_loss, take_profit, trailing_stop, both_sides):
    candles = random_candles(seed, bars, tick=0.5)
    flags = random_flags(seed, bars, density, 4 if both_sides else 2)
    check(candles, flags, Costs(), Stops(stop_loss, take_profit, trailing_stop))


@settings(max_examples=80, deadline=None)
@given(SEEDS, st.integers(1, 400), st.sampled_from([0.02, 0.2]), st.sampled_from([0.5, 2.0, 6.0]), st.booleans())
def test_an_atr_trail_on_random_candles(seed, bars, density, multiple, both_sides):
    candles = random_candles(seed, bars)
    flags = random_flags(seed, bars, density, 4 if both_sides else 2)
    check(candles, flags, Costs(), Stops(stop_loss=0.05, atr_trail=AtrTrail(5, multiple)))


@settings(max_examples=120, deadline=None)
@given(
    SEEDS,
    st.integers(1, 400),
    st.sampled_from([0.02, 0.2]),
    st.sampled_from([1, 2, 7, 60, 1000]),
    st.sampled_from([NO_STOPS, Stops(stop_loss=0.006, take_profit=0.01)]),
    st.booleans(),
)
def test_a_minimum_holding_on_random_candles(seed, bars, density, holding, stops, both_sides):
    candles = random_candles(seed, bars)
    check(candles, random_flags(seed, bars, density, 4 if both_sides else 2), Costs(), stops, holding)


@pytest.mark.parametrize(("holding", "exit_bar"), [(0, 4), (1, 5), (3, 7), (4, None)])
def test_an_exit_waits_for_the_minimum_holding(holding, exit_bar):
    candles = random_candles(3, 9, gaps=False)
    enter, leave = np.zeros(9, bool), np.zeros(9, bool)
    enter[2], leave[3:7] = True, True
    trade = backtest(candles, enter, leave, minimum_holding=holding).trades.row(0, named=True)
    assert trade["entry_bar"] == 3
    assert (trade["exit_bar"], trade["exit_reason"]) == ((exit_bar, "signal") if exit_bar else (8, "open"))


def test_an_opposite_entry_waits_for_the_minimum_holding_and_a_stop_does_not():
    candles = random_candles(3, 12, gaps=False)
    flags = np.zeros((4, 12), bool)
    flags[0, 1], flags[2, 3], flags[2, 6] = True, True, True
    enter, leave, enter_short, leave_short = flags
    sides = {"short_entries": enter_short, "short_exits": leave_short}
    waited = backtest(candles, enter, leave, **sides, minimum_holding=4).trades
    assert waited.select("side", "entry_bar").rows() == [("long", 2), ("short", 7)]
    stopped = backtest(candles, enter, leave, minimum_holding=1000, stops=Stops(stop_loss=1e-6))
    assert stopped.trades["exit_reason"].to_list() == ["stop_loss"]


def test_a_negative_minimum_holding_is_refused():
    with pytest.raises(ValueError, match="minimum_holding must be at least 0 bars, was -1"):
        backtest(random_candles(1, 3), np.zeros(3, bool), np.zeros(3, bool), minimum_holding=-1)


def test_long_holdings_cross_many_blocks():
    candles = random_candles(5, 40_000, gaps=False)
    for density in (0.0002, 0.001, 0.003):
        check(candles, random_flags(int(density * 1e5), 40_000, density, 2), Costs())


@pytest.mark.parametrize("rows", [slice(0, 30_000), slice(150_000, 180_000)])
def test_real_candles(real_candles, rows):
    candles = real_candles("XRP-USD_1m", rows)
    fast, slow = (np.convolve(candles.close, np.ones(n) / n)[: len(candles)] for n in (5, 30))
    check(candles, [fast > slow, fast < slow], Costs())
    check(
        candles,
        [fast > slow, fast < slow, fast < slow, fast > slow],
        Costs(),
        Stops(stop_loss=0.01, trailing_stop=0.02),
    )


def test_a_flat_market_costs_only_the_fees():
    candles = random_candles(1, 100, gaps=False)
    flat = Candles("x", "A/USD", "1m", candles.open_time, *([np.full(100, 7.0)] * 4), np.zeros(100))
    enter, leave = np.zeros(100, bool), np.zeros(100, bool)
    enter[10], leave[20] = True, True
    costs = Costs(0.001, 0.0)
    result = backtest(flat, enter, leave, costs=costs)
    assert result.metrics.final_equity == pytest.approx((1 - 0.001) ** 2)
    assert result.metrics.win_rate == 0.0
    assert result.trades["entry_bar"].to_list() == [11]


def test_fill_at_the_close_trades_at_the_close_that_decided():
    candles = random_candles(3, 50, gaps=False)
    enter, leave = np.zeros(50, bool), np.zeros(50, bool)
    enter[10], leave[20] = True, True
    at_close = backtest(candles, enter, leave, costs=Costs(0.0, 0.0), fill="close")
    assert at_close.metrics.final_equity == pytest.approx(candles.close[20] / candles.close[10], rel=1e-12)
    at_open = backtest(candles, enter, leave, costs=Costs(0.0, 0.0))
    assert at_open.metrics.final_equity == pytest.approx(candles.open[21] / candles.open[11], rel=1e-12)
    with pytest.raises(ValueError, match="fill must be next_open or close, was 'open'"):
        backtest(candles, enter, leave, fill="open")


def test_no_candles_give_no_trades_and_unit_equity():
    empty = random_candles(1, 0)
    result = backtest(empty, np.zeros(0, bool), np.zeros(0, bool))
    assert result.metrics.final_equity == 1.0
    assert result.trades.is_empty()


def test_one_candle_cannot_trade():
    one = random_candles(1, 1)
    result = backtest(one, np.ones(1, bool), np.zeros(1, bool))
    assert result.metrics.trades == 0.0
    assert result.metrics.sharpe == 0.0


def test_a_short_is_liquidated_where_its_equity_is_gone():
    candles = random_candles(1, 10, gaps=False)
    price = np.array([10.0, 10, 10, 12, 15, 30, 9, 9, 9, 9])
    rising = Candles("x", "A/USD", "1m", candles.open_time, price, price * 1.01, price * 0.99, price, np.ones(10))
    never, enter = np.zeros(10, bool), np.zeros(10, bool)
    enter[1] = True
    result = backtest(rising, never, never, short_entries=enter, short_exits=never)
    assert result.trades["exit_reason"].to_list() == ["liquidation"]
    assert result.metrics.final_equity == 0.0
    assert result.metrics.max_drawdown == 1.0
    assert result.metrics.cagr == -1.0


@pytest.mark.parametrize("field", ["entries", "exits"])
def test_signals_of_another_length_are_refused_by_name(field):
    candles = random_candles(1, 5)
    flags = {"entries": np.zeros(5, bool), "exits": np.zeros(5, bool), field: np.zeros(4, bool)}
    with pytest.raises(ValueError, match=f"{field}.*5 candles, was 4"):
        backtest(candles, **flags)


def test_a_price_of_zero_is_refused_with_its_place():
    candles = random_candles(1, 5)
    low = candles.low.copy()
    low[3] = 0.0
    candles = replace(candles, low=low)
    with pytest.raises(ValueError, match=r"low of candle 3 .* was 0.0"):
        backtest(candles, np.zeros(5, bool), np.zeros(5, bool))
