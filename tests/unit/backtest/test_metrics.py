"""Metrics worked out by hand, published ratios, and the rules for zeros, ruin and no time."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest

from alpharay.backtest.metrics import (
    METRIC_NAMES,
    Metrics,
    daily_moments,
    growth_rate,
    metrics_json,
    metrics_row,
    metrics_table,
    ratio,
)
from alpharay.backtest.settlement import OUTCOME_FIELDS

ONE_TRADE = {
    "final_equity": 1.2,
    "max_drawdown": 0.25,
    "drawdown_bars": 7.0,
    "trades": 5.0,
    "wins": 3.0,
    "gross_profit": 0.45,
    "gross_loss": 0.1,
    "exposure_bars": 30.0,
    "sides_traded": 10.0,
    "bar_mean": 0.0,
    "bar_variance": 0.0,
    "bar_downside": 0.0,
}


def moments_of(*daily_equity: float) -> list[float]:
    moments = np.full((1, 3), 99.0)
    daily_moments(np.array([daily_equity], dtype=np.float64).reshape(1, -1), moments)
    return moments[0].tolist()


def equity_after(returns: list[float]) -> np.ndarray:
    return np.cumprod(1.0 + np.array(returns))


def table_of(outcome: dict[str, float], daily_equity: list[float], bars: int, years: float) -> Metrics:
    row = np.array([[outcome[name] for name in OUTCOME_FIELDS]])
    return metrics_row(metrics_table(row, np.array([daily_equity]), bars, years)[0])


def test_moments_of_three_days_by_hand():
    # Returns 0.1, -0.05, 0.2 have the mean 1/12 and the squared distances 1/3600, 64/3600 and 49/3600 from it.
    mean, deviation, downside = moments_of(1.1, 1.1 * 0.95, 1.1 * 0.95 * 1.2)
    assert mean == pytest.approx(1.0 / 12.0)
    assert deviation == pytest.approx(math.sqrt((1 + 64 + 49) / 3600.0 / 2.0))
    assert downside == pytest.approx(math.sqrt(0.05**2 / 3.0))


def test_the_first_day_is_measured_from_a_start_of_one():
    assert moments_of(0.9) == pytest.approx([-0.1, 0.0, 0.1])


def test_two_days_have_a_deviation():
    assert moments_of(1.2, 1.2) == pytest.approx([0.1, math.sqrt(0.02), 0.0])


def test_no_day_has_no_moments():
    assert moments_of() == [0.0, 0.0, 0.0]


def test_after_ruin_a_day_returns_nothing():
    # 0, -1, 0, 0: what is lost cannot be lost again, nor divided by.
    mean, deviation, downside = moments_of(1.0, 0.0, 0.0, 0.0)
    assert mean == pytest.approx(-0.25)
    assert deviation == pytest.approx(math.sqrt((3 * 0.25**2 + 0.75**2) / 3.0))
    assert downside == pytest.approx(0.5)


def test_each_row_has_moments_of_its_own():
    daily = np.array([equity_after([0.1, 0.1, 0.1]), equity_after([-0.2, 0.3, -0.2])])
    moments = np.empty((2, 3))
    daily_moments(daily, moments)
    assert moments[0].tolist() == pytest.approx([0.1, 0.0, 0.0], abs=1e-12)
    assert moments[1].tolist() == moments_of(*daily[1])


def test_sortino_equals_the_published_example():
    # Rollinger & Hoffman (2013), "Sortino: a 'sharper' ratio", table 1: eight returns, target 0, ratio 4.417.
    daily = equity_after([0.17, 0.15, 0.23, -0.05, 0.12, 0.09, 0.13, -0.04])
    result = table_of(ONE_TRADE, daily.tolist(), 100, 1.0)
    assert result.sortino / math.sqrt(365.0) == pytest.approx(4.417, abs=5e-4)


def test_every_metric_of_one_backtest_by_hand():
    result = table_of(ONE_TRADE, [1.1, 1.1 * 0.95, 1.1 * 0.95 * 1.2], 120, 2.0)
    mean, deviation = 1.0 / 12.0, math.sqrt(114.0 / 7200.0)
    growth = math.sqrt(1.2) - 1.0
    assert result == Metrics(
        total_return=pytest.approx(0.2),
        cagr=pytest.approx(growth),
        volatility=pytest.approx(deviation * math.sqrt(365.0)),
        sharpe=pytest.approx(mean / deviation * math.sqrt(365.0)),
        sortino=pytest.approx(mean / math.sqrt(0.0025 / 3.0) * math.sqrt(365.0)),
        calmar=pytest.approx(growth / 0.25),
        max_drawdown=0.25,
        drawdown_bars=7.0,
        trades=5.0,
        win_rate=pytest.approx(0.6),
        profit_factor=pytest.approx(4.5),
        # Three winners of 0.15 on average, two losers of 0.05.
        payoff=pytest.approx(3.0),
        exposure=pytest.approx(0.25),
        turnover=pytest.approx(5.0),
        final_equity=1.2,
    )


def test_no_bars_and_no_time_have_no_exposure_turnover_or_growth():
    flat = dict.fromkeys(OUTCOME_FIELDS, 0.0) | {"final_equity": 1.0}
    result = table_of(flat, [], 0, 0.0)
    assert result == Metrics(*[1.0 if name == "final_equity" else 0.0 for name in METRIC_NAMES])


def test_one_bar_in_half_a_year_counts():
    result = table_of(ONE_TRADE | {"exposure_bars": 1.0, "sides_traded": 1.0}, [1.2], 1, 0.5)
    assert (result.exposure, result.turnover) == (1.0, 2.0)
    assert result.cagr == pytest.approx(1.2**2 - 1.0)


def test_a_ratio_over_zero_is_zero_or_infinite_with_the_numerators_sign():
    numerator, denominator = np.array([0.0, 2.0, -2.0, 0.0, 3.0, 1.0]), np.array([0.0, 0.0, -0.0, 5.0, 2.0, -0.0])
    assert ratio(numerator, denominator).tolist() == [0.0, math.inf, -math.inf, 0.0, 1.5, math.inf]


def test_only_winners_have_an_infinite_profit_factor_and_payoff():
    winners = ONE_TRADE | {"wins": 5.0, "gross_loss": 0.0, "max_drawdown": 0.0}
    result = table_of(winners, [1.2], 10, 1.0)
    assert (result.profit_factor, result.payoff, result.calmar) == (math.inf, math.inf, math.inf)
    assert result.win_rate == 1.0


def test_only_losers_have_no_payoff():
    losers = ONE_TRADE | {"wins": 0.0, "gross_profit": 0.0}
    result = table_of(losers, [1.2], 10, 1.0)
    assert (result.profit_factor, result.payoff, result.win_rate) == (0.0, 0.0, 0.0)


def test_growth_at_its_edges():
    with np.errstate(all="raise"):
        grown = growth_rate(np.array([4.0, 1.0, 0.0, 0.25]), 2.0)
        assert grown.tolist() == pytest.approx([1.0, 0.0, -1.0, -0.5])
        assert growth_rate(np.array([1e300]), 1e-3).tolist() == [math.inf]
    assert growth_rate(np.array([4.0, 0.0]), 0.0).tolist() == [0.0, 0.0]


def test_metrics_are_json_and_what_is_infinite_is_null():
    values = [float(place) for place in range(len(METRIC_NAMES))]
    metrics = Metrics(*values)
    assert list(astuple(metrics)) == values
    assert metrics_json(metrics) == dict(zip(METRIC_NAMES, values, strict=True))
    values[METRIC_NAMES.index("payoff")], values[METRIC_NAMES.index("calmar")] = math.inf, -math.inf
    written = metrics_json(Metrics(*values))
    assert (written["payoff"], written["calmar"], written["sharpe"]) == (None, None, 3.0)
