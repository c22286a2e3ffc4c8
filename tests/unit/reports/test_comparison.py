"""Strategies side by side: correlations over common days, the rows, and a page that trusts no text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from report_material import searched, waves

from alpharay.backtest.single import Backtest, backtest_strategy
from alpharay.market.candles import Candles
from alpharay.market.timeframe import DAY_MS
from alpharay.reports.comparison import (
    LEAST_DAYS,
    Compared,
    comparison_report,
    comparison_rows,
    overlaid_figure,
    return_correlations,
)

RETURNS = np.array([0.01, -0.02, 0.03, 0.0, 0.01, -0.01, 0.02, 0.04, -0.03, 0.01, 0.02, -0.01])


def account() -> Backtest:
    report = searched()
    return backtest_strategy(report.strategy, report.champions[0].parameters, waves())


def daily(label: str, returns: np.ndarray, first_day: int = 18_000) -> Compared:
    """One candle a day, whose account made these returns on these days."""
    days = (first_day + np.arange(len(returns), dtype=np.int64)) * DAY_MS
    price = np.full(len(returns), 10.0)
    candles = Candles("test", "AAA/USD", "1d", days, price, price, price, price, price)
    return Compared(label, "CANDIDATE", candles, replace(account(), equity=np.cumprod(1.0 + returns)))


def test_the_same_days_correlate_fully_and_opposite_ones_oppositely() -> None:
    one, same, opposite = daily("one", RETURNS), daily("same", 2.0 * RETURNS), daily("opposite", -RETURNS)
    matrix = return_correlations([one, same, opposite])
    assert matrix[0] == pytest.approx([1.0, 1.0, -1.0])
    assert matrix[2] == pytest.approx([-1.0, -1.0, 1.0])


def test_a_correlation_is_of_the_days_that_both_have() -> None:
    other = np.random.default_rng(1).normal(0.0, 0.01, len(RETURNS))
    late = daily("late", other, first_day=18_002)
    expected = np.corrcoef(RETURNS[2:], other[:-2])[0, 1]
    assert return_correlations([daily("one", RETURNS), late])[0][1] == pytest.approx(expected)


def test_too_few_common_days_or_no_movement_have_no_correlation() -> None:
    one = daily("one", RETURNS)
    apart = daily("apart", RETURNS, first_day=18_000 + len(RETURNS) - LEAST_DAYS + 1)
    flat = daily("flat", np.zeros(len(RETURNS)))
    assert return_correlations([one, apart, flat])[0] == [pytest.approx(1.0), None, None]


def test_the_rows_name_market_window_and_every_figure_of_each() -> None:
    item = Compared("own", "VALIDATED", waves(), account())
    rows = {row[0]: row[1:] for row in comparison_rows([item, replace(item, status="")])}
    assert rows["market"] == ["AAA/USD 1h", "AAA/USD 1h"]
    assert rows["status"] == ["validated", "-"]
    assert rows["trades"] == [f"{account().metrics.trades:,.0f}"] * 2


def test_the_page_shows_all_and_escapes_what_users_called_their_rules() -> None:
    text = comparison_report([daily("<script>alert(1)</script>", RETURNS), daily("other", RETURNS)])
    assert "2 strategies compared" in text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    with pytest.raises(ValueError, match="at least one strategy"):
        comparison_report([])


def test_more_strategies_than_colours_are_all_drawn() -> None:
    assert len(overlaid_figure([daily(f"{number}", RETURNS) for number in range(12)]).data) == 12
