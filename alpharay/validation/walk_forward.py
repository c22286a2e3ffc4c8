"""Walk-forward with re-optimisation: search, then trade what was found on the candles after it, window by window.

Pardo 2008, "The evaluation and optimization of trading strategies". The last part of the candles is cut into windows.
Each is traded with the champion of a search of its own over the candles before it, less a purge gap (López de Prado
2018, "Advances in financial machine learning", chapter 7): as many bars as the strategy remembers or a trade lasts, so
that no trade and no indicator value is on both sides. The windows' equity, one after the other, is what somebody who
searched again every window would have earned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil

import numpy as np

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.metrics import Metrics
from alpharay.backtest.single import Backtest
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.backtest.tables import day_ends
from alpharay.discovery.evaluation import Executor
from alpharay.discovery.search import SearchSettings, discover
from alpharay.discovery.split import Split, out_of_sample
from alpharay.market.candles import Candles, FloatArray, IntArray
from alpharay.market.timeframe import DAY_MS, timeframe_ms
from alpharay.strategies.strategy import Strategy
from alpharay.validation.daily_marks import daily_returns
from alpharay.validation.excess import annual_sharpe, positions

MOST_PURGED = 0.25
"""Of a window's training candles at most this share is purged: a trade held for years would leave none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForwardSettings:
    """How to cut the candles.

    Parameters
    ----------
    windows : int
        How many times the search is made again.
    test_fraction : float
        Share of the candles that the windows cover together, at the end.
    anchored : bool
        Every search begins with the first candle; otherwise all have the same length and roll.
    """

    windows: int = 6
    test_fraction: float = 0.5
    anchored: bool = False

    def __post_init__(self) -> None:
        if self.windows < 1:
            raise ValueError(f"windows must be at least 1, was {self.windows}")
        if not 0.0 < self.test_fraction < 1.0:
            raise ValueError(f"test_fraction must be in (0, 1), was {self.test_fraction}")


@dataclass(frozen=True, slots=True)
class Window:
    """Rows `train_start` to `train_stop` are searched, `test_start` to `test_stop` traded (stops exclusive)."""

    number: int
    train_start: int
    train_stop: int
    test_start: int
    test_stop: int


@dataclass(frozen=True, slots=True)
class WindowResult:
    """What one window's search found and how it did on candles it had not seen. Times are UTC ms."""

    number: int
    train_start_time: int
    train_end_time: int
    test_start_time: int
    test_end_time: int
    parameters: dict[str, float] | None
    """None when the search found nothing that trades; the window is sat out then."""
    in_sample_sharpe: float
    out_of_sample_sharpe: float
    out_of_sample_return: float
    trades: int


@dataclass(frozen=True, slots=True)
class WalkForward:
    """All windows, and their pieces as one account."""

    windows: tuple[WindowResult, ...]
    purged_bars: int
    days: IntArray
    """Midnight of each UTC day of the tested part, ms."""
    equity: FloatArray
    """At the end of each of these days, from a start of one."""
    total_return: float
    sharpe: float
    excess_sharpe: float
    """Of the excess over the exposure-matched market: see `alpharay.validation.excess`."""
    max_drawdown: float
    trades: int
    in_sample_sharpe: float
    """Mean over the windows."""
    efficiency: float
    """Share of the in-sample Sharpe ratio that was left out of sample; 0 when there was none in sample."""
    profitable_windows: float
    """Share of the windows that made money."""


@dataclass(frozen=True, slots=True)
class _Traded:
    """One window's account."""

    result: WindowResult
    equity: FloatArray
    """At each bar's close, from one, an open position closed at the end."""
    held: FloatArray


@dataclass(frozen=True, slots=True)
class WindowSearch:
    """Searches and trades one window; picklable, so that an executor may run the windows side by side."""

    strategy: Strategy
    candles: Candles
    search: SearchSettings
    costs: Costs
    stops: Stops
    frictions: Frictions | None = None

    def __call__(self, window: Window) -> _Traded:
        """Return the window's account."""
        train = self.candles.slice(window.train_start, window.train_stop)
        report = discover(
            self.strategy, train, self.search, costs=self.costs, stops=self.stops, frictions=self.frictions
        )
        rows = window.test_stop - window.test_start
        if not report.champions:
            return _Traded(self._result(window, None, None, None), np.ones(rows), np.zeros(rows))
        champion = report.champions[0]
        # The indicators see what came before, as they would live, but not what comes after.
        seen = self.candles.slice(window.train_start, window.test_stop)
        parts = Split(seen, window.test_start - window.train_start)
        after = out_of_sample(self.strategy, champion.parameters, parts, self.costs, self.stops, self.frictions)
        equity = after.equity.copy()
        if len(after.trades) and after.trades["exit_reason"][-1] == "open":
            equity[-1] *= self._closing_factor(after)
        return _Traded(self._result(window, champion.parameters, champion.in_sample, after), equity, positions(after))

    def _closing_factor(self, after: Backtest) -> float:
        """Return what closing the open position leaves of the equity: the dearest tier's fee and the slippage.

        Impact and ticks of a trade that is not made are left out.
        """
        if self.frictions is None:
            return self.costs.exit_factor
        fee = max((tier.fee for tier in self.frictions.fee_tiers), default=self.costs.fee)
        return 1.0 - float(after.trades["invested"][-1]) * (1.0 - replace(self.costs, fee=fee).exit_factor)

    def _result(
        self, window: Window, parameters: dict[str, float] | None, before: Metrics | None, after: Backtest | None
    ) -> WindowResult:
        def time_at(row: int) -> int:
            if row < len(self.candles):
                return int(self.candles.open_time[row])
            return int(self.candles.open_time[-1]) + timeframe_ms(self.candles.timeframe)

        return WindowResult(
            number=window.number,
            train_start_time=time_at(window.train_start),
            train_end_time=time_at(window.train_stop),
            test_start_time=time_at(window.test_start),
            test_end_time=time_at(window.test_stop),
            parameters=parameters,
            in_sample_sharpe=0.0 if before is None else before.sharpe,
            out_of_sample_sharpe=0.0 if after is None else after.metrics.sharpe,
            out_of_sample_return=0.0 if after is None else after.metrics.total_return,
            trades=0 if after is None else len(after.trades),
        )


def cut_windows(bars: int, settings: WalkForwardSettings, purged_bars: int) -> list[Window]:
    """Return the windows over `bars` candles; raises ValueError when there are too few to search or to trade."""
    first_test = bars - int(bars * settings.test_fraction)
    purged = min(purged_bars, int(first_test * MOST_PURGED))
    edges = np.linspace(first_test, bars, settings.windows + 1).round().astype(np.int64).tolist()
    if first_test - purged < 2 or min(np.diff(edges)) < 2:
        raise ValueError(
            f"walk-forward needs at least 2 candles to search and 2 to trade in each of {settings.windows} windows, "
            f"was {bars} candles in all: ask for fewer windows, or validate on more candles"
        )
    return [
        Window(number, 0 if settings.anchored else start - first_test, start - purged, start, stop)
        for number, (start, stop) in enumerate(pairwise(edges))
    ]


def walk_forward(
    strategy: Strategy,
    candles: Candles,
    search: SearchSettings,
    settings: WalkForwardSettings = WalkForwardSettings(),
    *,
    purged_bars: int,
    costs: Costs = Costs(),
    stops: Stops = NO_STOPS,
    frictions: Frictions | None = None,
    executor: Executor,
    on_window: Callable[[WindowResult], None] = lambda _: None,
) -> WalkForward:
    """Search and trade every window of `candles`; raises ValueError when they are too few.

    Each search has the settings of the discovery, its `min_trades` in proportion to its candles (they were meant for
    `train_fraction` of all). A position that is open at a window's end is closed there, at cost. With frictions each
    window's account begins with the starting capital.
    """
    windows = cut_windows(len(candles), settings, purged_bars)
    share = (windows[0].train_stop - windows[0].train_start) / max(len(candles) * search.train_fraction, 1.0)
    least = max(ceil(search.min_trades * min(share, 1.0)), 1)
    inner = replace(search, train_fraction=1.0, top_n=1, min_trades=least)
    traded: list[_Traded] = []
    for item in executor(WindowSearch(strategy, candles, inner, costs, stops, frictions), windows):
        traded.append(item)
        on_window(item.result)
    return _joined(traded, candles.slice(windows[0].test_start, len(candles)), windows[0])


def _joined(traded: list[_Traded], tested: Candles, first: Window) -> WalkForward:
    starts = np.cumprod([1.0, *(item.equity[-1] for item in traded)])
    equity = np.concatenate([start * item.equity for start, item in zip(starts, traded, strict=False)])
    held = np.concatenate([item.held for item in traded])
    ends = day_ends(tested.open_time)
    daily = equity[ends]
    own, market = daily_returns(daily), daily_returns(tested.close[ends] / tested.open[0])
    first_day = int(tested.open_time[0]) // DAY_MS
    peaks = np.maximum.accumulate(np.concatenate([[1.0], equity]))[1:]
    results = [item.result for item in traded]
    in_sample_sharpe = float(np.mean([result.in_sample_sharpe for result in results]))
    sharpe = annual_sharpe(own)
    return WalkForward(
        windows=tuple(results),
        purged_bars=first.test_start - first.train_stop,
        days=(first_day + np.arange(len(daily), dtype=np.int64)) * DAY_MS,
        equity=daily,
        total_return=float(equity[-1]) - 1.0,
        sharpe=sharpe,
        excess_sharpe=annual_sharpe(own - float(held.mean()) * market),
        max_drawdown=float(np.max(1.0 - equity / peaks)),
        trades=sum(result.trades for result in results),
        in_sample_sharpe=in_sample_sharpe,
        efficiency=sharpe / in_sample_sharpe if in_sample_sharpe > 0.0 else 0.0,
        profitable_windows=float(np.mean([result.out_of_sample_return > 0.0 for result in results])),
    )
