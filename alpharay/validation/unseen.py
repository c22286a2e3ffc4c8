"""The last gate: what a strategy does on candles that are newer than its discovery and that nobody has used yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from alpharay.backtest.metrics import metrics_json
from alpharay.discovery.split import Split
from alpharay.market.candles import Candles, IntArray
from alpharay.validation.configuration import Configuration
from alpharay.validation.excess import excess_sharpe
from alpharay.validation.ledger import Interval, interval_of, shortest_enough
from alpharay.validation.permutation import exceedances_at, permutation_test
from alpharay.validation.promotion import Found, UnseenExcess
from alpharay.validation.verdict import UNSEEN, Gate, insufficient

Choose = Callable[[Sequence[Interval]], Interval | None]
Draw = Callable[[Interval, Choose], Interval | None]
"""Takes the time that is newer than the discovery and a choice among what is unused of it; returns what was drawn for
this validation, which nobody else can draw again, or None when the choice took nothing. Asking again gives the same."""


@dataclass(frozen=True, slots=True)
class UnseenResult:
    """What the strategy did on the interval that was drawn for it."""

    interval: Interval
    days: float
    trades: int
    excess_sharpe: float
    p_value: float | None
    """Of sign-flipped unseen candles; None when the excess is not positive and there is nothing to test."""
    metrics: dict[str, float | None]


def judge_unseen(
    found: Found,
    candles: Candles,
    newer: Candles,
    configuration: Configuration,
    *,
    draw: Draw | None,
    seed: int,
) -> tuple[UnseenResult | None, Gate]:
    """Draw the shortest interval of `newer` that has enough days and trades, and judge the strategy on it.

    `candles` begin where the discovery's window does and end with the newest; the indicators see all before the
    interval. Nothing is drawn when there is not enough.
    """
    needs = configuration.last_gate
    if len(newer) == 0:
        text = "There are no candles newer than the discovery yet."
        return None, insufficient(UNSEEN, 0.0, float(needs.min_days), text)
    within = interval_of(newer)

    def choose(left: Sequence[Interval]) -> Interval | None:
        for interval in left:
            exits = _exit_times(found, candles, interval, configuration)
            enough = shortest_enough(
                [interval], exits, days=needs.min_days, trades=needs.min_trades, timeframe=candles.timeframe
            )
            if enough is not None:
                return enough
        return None

    interval = choose([within]) if draw is None else draw(within, choose)
    if interval is None:
        text = (
            f"There are {within.days:.0f} days newer than the discovery; what is unused of them does not hold "
            f"{needs.min_days} days with {needs.min_trades} trades: wait for newer candles."
        )
        return None, insufficient(UNSEEN, within.days, float(needs.min_days), text)
    until = candles.between(int(candles.open_time[0]), interval.end)
    at = int(np.searchsorted(until.open_time, interval.start))
    statistic = UnseenExcess(found, at, configuration)
    result = statistic.backtest(until)
    excess = excess_sharpe(result, Split(until, at).test)
    p_value = None
    if excess > 0.0:
        p_value = permutation_test(
            statistic,
            until,
            permutations=needs.permutations,
            seed=seed,
            stop_after=exceedances_at(needs.level, needs.permutations),
            start=at,
            observed=excess,
        ).p_value
    judged = UnseenResult(interval, interval.days, len(result.trades), excess, p_value, metrics_json(result.metrics))
    passed = p_value is not None and p_value <= needs.level
    said = f", p = {p_value:.2f} (at most {needs.level:g} passes)" if p_value is not None else " (above 0 is needed)"
    text = (
        f"On {interval.days:.0f} unseen days with {judged.trades} trades the excess Sharpe ratio is {excess:.2f}{said}."
    )
    return judged, Gate(UNSEEN, "passed" if passed else "failed", p_value, needs.level, text)


def _exit_times(found: Found, candles: Candles, interval: Interval, configuration: Configuration) -> IntArray:
    """Return when the trades end that begin flat at the interval's start; how they end is not looked at."""
    until = candles.between(int(candles.open_time[0]), interval.end)
    at = int(np.searchsorted(until.open_time, interval.start))
    trades = UnseenExcess(found, at, configuration).backtest(until).trades
    ended = trades.filter(trades["exit_reason"] != "open")
    return ended["exit_time"].to_numpy().astype(np.int64)
