"""The shared account against the plain one: trades equal, equity to 1e-9; with one market, against the fast kernel."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_account import DAY_MS, PlainRules, run_plain_account
from test_kernel_equals_plain import random_candles, random_flags

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import FeeTier, Frictions, Funding, SquareRootImpact
from alpharay.backtest.holdings import EXIT_REASONS
from alpharay.backtest.pool_tables import pool_tables
from alpharay.backtest.pooled import ONE_POSITION, PoolLimits
from alpharay.backtest.pooled_single import trade_signals
from alpharay.backtest.single import backtest
from alpharay.backtest.stops import NO_STOPS, AtrTrail, Stops
from alpharay.backtest.tables import price_tables
from alpharay.indicators.registry import INDICATORS
from alpharay.strategies.evaluation import Signals

SEEDS = st.integers(0, 2**32 - 1)

SOME_FRICTIONS = st.builds(
    Frictions,
    starting_capital=st.sampled_from([900.0, 1e4, 1e6]),
    fee_tiers=st.sampled_from([(), (FeeTier(volume=2e4, fee=0.0005), FeeTier(volume=3e5, fee=0.0))]),
    impact=st.sampled_from([None, SquareRootImpact(), SquareRootImpact(coefficient=0.02, participation=1.0)]),
    tick_size=st.sampled_from([None, 0.01, 0.3]),
    lot_size=st.sampled_from([None, 0.001, 2.0]),
    minimum_notional=st.sampled_from([None, 10.0, 850.0]),
    funding=st.sampled_from([None, Funding(short=0.001), Funding(long=0.02, short=-0.01, hours=1.0)]),
)
SOME_STOPS = st.sampled_from(
    [NO_STOPS, Stops(0.01, 0.02), Stops(trailing_stop=0.015), Stops(stop_loss=0.05, atr_trail=AtrTrail(5, 2.0))]
)


def random_markets(seed: int, count: int, bars: int, *, dry: bool):
    """Markets of different lengths and gaps on one grid of minutes, their bars partly without volume."""
    rng = np.random.default_rng(seed)
    markets = []
    for market in range(count):
        length = int(rng.integers(1, bars + 1))
        candles = random_candles(seed + market, length, volatility=float(rng.choice([0.003, 0.02])))
        steps = rng.choice([1, 1, 1, 2, 5, 400], length)
        start = int(rng.integers(0, 30))
        times = (28_000_000 + start + np.cumsum(steps)) * 60_000
        volume = rng.choice([0.0, 30.0, 1000.0] if dry else [40.0, 5000.0], length)
        markets.append(replace(candles, open_time=times, volume=volume))
    return markets


def check_account(candles, flags, costs, stops=NO_STOPS, holding=0, limits=ONE_POSITION, frictions=None):
    frictions = frictions or [None] * len(candles)
    run = trade_signals(
        [Signals(*one) for one in flags],
        pool_tables([price_tables(one) for one in candles]),
        costs, stops, holding, limits, frictions,
    )  # fmt: skip
    rules = []
    for one, four, rubs in zip(candles, flags, frictions, strict=True):
        distance = None
        if stops.atr_trail is not None:
            ranges = INDICATORS["atr"](one.high, one.low, one.close, stops.atr_trail.length)
            distance = (stops.atr_trail.multiple * ranges).tolist()
        never = [False] * len(one)
        rules.append(PlainRules(*([flag.tolist() for flag in four] + [never, never])[:4], rubs, distance))
    fractions = (stops.stop_loss or 0.0, stops.take_profit or 0.0, stops.trailing_stop or 0.0)
    plain, times = run_plain_account(
        candles, rules, costs.fee, costs.slippage, fractions, holding, limits.max_positions, limits.fraction
    )
    got = run.trades.tolist()
    assert [(int(t[0]), t[1], int(t[2]), int(t[3]), EXIT_REASONS[int(t[7])]) for t in got] == [
        (t[0], t[1], t[2], t[3], t[6]) for t in plain.trades
    ]
    capital = frictions[0].starting_capital if frictions[0] else 1.0
    ours = [[t[4], t[5], *t[8:15], t[6]] for t in got]
    expected = [[t[4], t[5], *t[7:15]] for t in plain.trades]
    np.testing.assert_allclose(np.array(ours), np.array(expected), rtol=1e-9, atol=1e-9 * capital)
    np.testing.assert_allclose(run.equity * capital, plain.closes, rtol=1e-9, atol=1e-12 * capital)
    values = np.array([capital] + [value for _, value in plain.points])
    peaks = np.maximum.accumulate(values)
    assert run.outcome["max_drawdown"] == pytest.approx((1.0 - values / peaks).max(), abs=1e-9)
    changes = np.divide(values[1:], values[:-1], out=np.ones(len(values) - 1), where=values[:-1] > 0.0) - 1.0
    assert run.outcome["bar_mean"] == pytest.approx(changes.sum() / len(times), rel=1e-6, abs=1e-12)
    assert run.outcome["exposure_bars"] == pytest.approx(plain.exposure)
    assert run.outcome["drawdown_bars"] == longest_drawdown(plain.points, times, capital)
    sides = sum(1 if t[6] == "open" else 2 for t in plain.trades)
    assert run.outcome["sides_traded"] == pytest.approx(sides * limits.stake)
    days = range(times[0] // DAY_MS, times[-1] // DAY_MS + 1)
    daily = np.array([plain.closes[bisect_left(times, (day + 1) * DAY_MS) - 1] for day in days]) / capital
    assert run.metrics.volatility == pytest.approx(volatility(daily), rel=1e-6, abs=1e-9)
    profits = np.array([(t[11] - t[10]) / capital for t in plain.trades] or [0.0])
    assert run.outcome["gross_profit"] == pytest.approx(profits[profits > 0.0].sum(), rel=1e-9, abs=1e-9)
    assert run.outcome["gross_loss"] == pytest.approx(-profits[profits < 0.0].sum(), rel=1e-9, abs=1e-9)
    return run


def longest_drawdown(points, times, capital):
    peak, since, longest = capital, 0, 0
    for time, value in points:
        if value > peak:
            step = times.index(time)
            longest, peak, since = max(longest, step - since), value, step
    return max(longest, len(times) - 1 - since)


def volatility(daily):
    before = np.concatenate([[1.0], daily[:-1]])
    changes = np.divide(daily - before, before, out=np.zeros_like(daily), where=before > 0.0)
    return changes.std(ddof=1) * np.sqrt(365.0) if len(changes) > 1 else 0.0


@settings(max_examples=200, deadline=None)
@given(
    SEEDS, st.integers(1, 250), st.sampled_from([0.02, 0.2]), st.booleans(), SOME_STOPS, st.sampled_from([0, 3]),
    SOME_FRICTIONS,
)  # fmt: skip
def test_one_market_with_frictions(seed, bars, density, both_sides, stops, holding, frictions):
    candles = random_markets(seed, 1, bars, dry=True)
    flags = [random_flags(seed, len(candles[0]), density, 4 if both_sides else 2)]
    check_account(candles, flags, Costs(0.002, 0.0005), stops, holding, frictions=[frictions])


@settings(max_examples=200, deadline=None)
@given(
    SEEDS, st.integers(1, 4), st.integers(1, 200), st.sampled_from([0.02, 0.2]), st.booleans(), SOME_STOPS,
    st.sampled_from([0, 5]), st.integers(1, 4), st.sampled_from([None, 0.4, 1.0]),
)  # fmt: skip
def test_several_markets_share_one_account(seed, count, bars, density, both_sides, stops, holding, positions, fraction):
    candles = random_markets(seed, count, bars, dry=False)
    flags = [random_flags(seed + m, len(one), density, 4 if both_sides else 2) for m, one in enumerate(candles)]
    limits = PoolLimits(max_positions=positions, fraction=fraction)
    check_account(candles, flags, Costs(), stops, holding, limits)


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.integers(2, 3), st.integers(1, 200), SOME_STOPS, st.integers(1, 3), SOME_FRICTIONS, SOME_FRICTIONS)
def test_several_markets_with_frictions_of_their_own(seed, count, bars, stops, positions, first, other):
    candles = random_markets(seed, count, bars, dry=True)
    flags = [random_flags(seed + m, len(one), 0.1, 4) for m, one in enumerate(candles)]
    other = replace(other, starting_capital=first.starting_capital, fee_tiers=first.fee_tiers)
    frictions = [first, other, first][:count]
    check_account(candles, flags, Costs(0.002, 0.0005), stops, 0, PoolLimits(max_positions=positions), frictions)


@settings(max_examples=150, deadline=None)
@given(
    SEEDS, st.integers(1, 500), st.sampled_from([0.005, 0.05, 0.3]), st.booleans(), SOME_STOPS, st.sampled_from([0, 4]),
    st.sampled_from([Costs(0.0, 0.0), Costs(), Costs(0.02, 0.01)]),
)  # fmt: skip
def test_with_everything_off_it_is_the_fast_kernel(seed, bars, density, both_sides, stops, holding, costs):
    candles = random_candles(seed, bars)
    enter, leave, *short = random_flags(seed, bars, density, 4 if both_sides else 2)
    flags = dict(zip(("short_entries", "short_exits"), short, strict=False))
    options = {"costs": costs, "stops": stops, "minimum_holding": holding, **flags}
    fast = backtest(candles, enter, leave, **options)
    off = backtest(candles, enter, leave, frictions=Frictions(starting_capital=1.0), **options)
    names = ["side", "entry_bar", "exit_bar", "entry_price", "exit_reason", "entry_time", "exit_time"]
    assert off.trades.select(names).rows() == fast.trades.select(names).rows()
    for name in ("exit_price", "equity_before", "equity_after", "return"):
        np.testing.assert_allclose(off.trades[name], fast.trades[name], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(off.equity, fast.equity, rtol=1e-9, atol=1e-12)
    for name, value in fast.outcome.items():
        assert off.outcome[name] == pytest.approx(value, rel=1e-9, abs=1e-9), name
    assert off.metrics.sharpe == pytest.approx(fast.metrics.sharpe, rel=1e-6, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(2, 200), st.integers(1, 3), SOME_STOPS, SOME_FRICTIONS)
def test_what_comes_later_changes_nothing_before(seed, bars, positions, stops, frictions):
    candles = random_markets(seed, 3, bars, dry=True)
    flags = [random_flags(seed + m, len(one), 0.1, 4) for m, one in enumerate(candles)]
    ends = [one.open_time[-1] for one in candles]
    cut = int(np.quantile(np.concatenate([one.open_time for one in candles]), 0.6)) // 60_000 * 60_000
    limits = PoolLimits(max_positions=positions)
    rows = [int(np.searchsorted(one.open_time, cut)) for one in candles]
    if min(rows) == 0 or cut > max(ends):
        return
    equity = []
    for lengths in (rows, [len(one) for one in candles]):
        cuts = [one.slice(0, length) for one, length in zip(candles, lengths, strict=True)]
        said = [Signals(*(flag[:length] for flag in four)) for four, length in zip(flags, lengths, strict=True)]
        tables = pool_tables([price_tables(one) for one in cuts])
        equity.append(trade_signals(said, tables, Costs(), stops, 0, limits, [frictions] * 3).equity)
    np.testing.assert_array_equal(equity[0], equity[1][: len(equity[0])])
