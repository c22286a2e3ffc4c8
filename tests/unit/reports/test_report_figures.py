"""Each figure's data against what it draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from report_material import searched, validated, waves

from alpharay.backtest.single import Backtest, backtest_strategy
from alpharay.discovery.split import buy_and_hold
from alpharay.reports.account_figures import drawdown_figure, drawdowns, equity_figure
from alpharay.reports.monthly_returns import monthly_figure, monthly_returns
from alpharay.reports.search_figures import convergence_figure
from alpharay.reports.search_log import search_log
from alpharay.reports.trade_figures import MOST_CANDLES, drawn_candles, trades_figure
from alpharay.reports.validation_figures import (
    cost_figure,
    neighbourhood_figure,
    null_figure,
    overfitting_figure,
    regimes_figure,
    walk_forward_figure,
)


@pytest.fixture(scope="module")
def account() -> Backtest:
    report = searched()
    return backtest_strategy(report.strategy, report.champions[0].parameters, waves())


def test_the_equity_line_ends_with_the_final_equity_and_the_split_is_marked(account: Backtest) -> None:
    held = buy_and_hold(waves()).equity
    figure = equity_figure(searched().parts, ("own", account.equity), held, [("other", held)])
    by_name = {trace.name: trace for trace in figure.data}
    assert by_name["own"].y[-1] == account.metrics.final_equity
    assert by_name["buy and hold"].y[-1] == held[-1]
    assert by_name["other"].visible == "legendonly"
    assert figure.layout.annotations[0].text.startswith("out of sample")
    assert np.datetime64(figure.layout.shapes[0].x0) == np.datetime64(searched().parts.train_end_time, "ms")


def test_the_lowest_drawdown_is_the_largest_drawdown_at_closes(account: Backtest) -> None:
    figure = drawdown_figure(searched().parts, account.equity, buy_and_hold(waves()).equity)
    lowest = min(figure.data[1].y)
    assert lowest == drawdowns(account.equity).min()
    # The metric also sees the falls inside bars.
    assert -account.metrics.max_drawdown <= lowest < 0.0
    assert drawdowns(np.array([0.9, 1.2, 0.6])).tolist() == pytest.approx([-0.1, 0.0, -0.5])
    assert len(drawdowns(np.empty(0))) == 0


def test_the_months_compound_to_the_total_return(account: Backtest) -> None:
    table = monthly_returns(waves().open_time, account.equity)
    made = table.returns[~np.isnan(table.returns)]
    assert np.prod(1.0 + made) - 1.0 == pytest.approx(account.metrics.total_return)
    assert np.prod(1.0 + table.totals) - 1.0 == pytest.approx(account.metrics.total_return)


def test_months_stand_in_their_place_and_a_missing_one_is_empty() -> None:
    days = np.array(["2020-11-30", "2020-12-31", "2021-02-01", "2021-02-28"], dtype="datetime64[ms]").astype(np.int64)
    table = monthly_returns(days, np.array([1.1, 1.1, 0.5, 0.0]))
    assert table.years == (2020, 2021)
    assert table.returns[0, 10:].tolist() == pytest.approx([0.1, 0.0])
    assert table.returns[1, 1] == -1.0
    assert np.isnan(table.returns).sum() == 21
    assert table.totals.tolist() == pytest.approx([0.1, -1.0])
    drawn = monthly_figure(table).data[0]
    assert drawn.y == ("2021", "2020")
    assert list(drawn.text[1][10:13]) == ["+10.0", "·", "+10.0"]


def test_after_ruin_months_are_zero_and_no_candles_are_no_months() -> None:
    months = np.array(["2020-01-31", "2020-02-28"], dtype="datetime64[ms]").astype(np.int64)
    assert monthly_returns(months, np.array([0.0, 0.0])).returns[0, :2].tolist() == [-1.0, 0.0]
    assert monthly_returns(np.empty(0, np.int64), np.empty(0)).years == ()


def test_every_trade_has_its_entry_and_its_exit_at_its_price(account: Backtest) -> None:
    figure = trades_figure(searched().parts, account.trades)
    by_name = {trace.name: trace for trace in figure.data}
    assert list(by_name["long entry"].y) == account.trades["entry_price"].to_list()
    closed = account.trades.filter(account.trades["exit_reason"] != "open")
    exits = [price for name in ("exit with profit", "exit with loss") if name in by_name for price in by_name[name].y]
    assert sorted(exits) == sorted(closed["exit_price"])


def test_many_candles_are_drawn_as_fewer_with_the_same_extremes() -> None:
    candles = waves()
    drawn = drawn_candles(candles)
    assert len(drawn) <= MOST_CANDLES < len(candles)
    assert (drawn.high.max(), drawn.low.min()) == (candles.high.max(), candles.low.min())
    assert (drawn.open[0], drawn.close[-1]) == (candles.open[0], candles.close[-1])
    assert drawn.volume.sum() == pytest.approx(candles.volume.sum())
    # Three rows each: the second covers rows 3 to 5.
    assert drawn.high[1] == candles.high[3:6].max()
    few = candles.slice(0, 10)
    assert drawn_candles(few) is few


def test_convergence_draws_the_log_with_gaps_where_nothing_traded() -> None:
    log = replace(search_log(searched().log), best=(None, 0.5, 0.7))
    best, median, diversity = convergence_figure(log, "sharpe").data
    assert tuple(best.y) == (None, 0.5, 0.7)
    assert tuple(median.y) == log.median
    assert tuple(diversity.y) == log.diversity


def test_the_null_distribution_counts_all_that_found_something() -> None:
    record = validated()["permutation"]
    figure = null_figure(record)
    bins = figure.data[0].xbins
    found = [value for value in record["null"] if value is not None]
    assert bins.start <= min(found)
    assert bins.end >= max([*found, record["observed"]])
    assert figure.layout.shapes[0].x0 == record["observed"]
    empty = null_figure({"null": [None, None], "observed": None})
    assert len(empty.data[0].x) == 0


def test_walk_forward_ends_with_its_return_and_has_a_bar_a_window() -> None:
    record = validated()["walk_forward"]
    equity, searched_bars, traded = walk_forward_figure(record).data
    assert equity.y[-1] == pytest.approx(1.0 + record["total_return"])
    assert list(traded.y) == [window["out_of_sample_sharpe"] for window in record["windows"]]
    assert list(searched_bars.x) == [1, 2]


def test_the_champion_is_marked_on_its_cell() -> None:
    record = validated()
    for heat_map in record["neighbourhood"]["maps"]:
        cells, mark = neighbourhood_figure(heat_map, record["parameters"], "sharpe").data
        row, column = list(cells.y).index(mark.y[0]), list(cells.x).index(mark.x[0])
        assert cells.z[row][column] == pytest.approx(record["neighbourhood"]["score"])


def test_one_parameter_is_a_line_and_no_scores_are_an_empty_map() -> None:
    one = {
        "row_parameter": None, "column_parameter": "n", "row_values": [], "column_values": [1.0, 2.0],
        "scores": [[0.5, None]],
    }  # fmt: skip
    assert list(neighbourhood_figure(one, {"n": 1.0}, "sharpe").data[0].y) == [0.5, None]
    none = {**one, "row_parameter": "m", "row_values": [3.0], "scores": [[None, None]]}
    assert neighbourhood_figure(none, {"n": 1.0, "m": 3.0}, "sharpe").data[0].zmax == 1.0


def test_costs_regimes_and_splits_draw_the_record() -> None:
    record = validated()
    sharpe, returned = cost_figure(record["cost_stress"]).data
    assert list(sharpe.y) == [level["excess_sharpe"] for level in record["cost_stress"]["levels"]]
    assert list(returned.x) == ["1x", "2x", "3x"]
    strategy, market = regimes_figure(record["regimes"]).data
    assert len(strategy.y) == len(market.y) == len(record["regimes"])
    overfitting = record["diagnostics"]["overfitting"]
    assert sum(overfitting_figure(overfitting).data[0].y) == sum(overfitting["logit_counts"])
