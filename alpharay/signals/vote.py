"""What one strategy says now: the position its rules hold at the newest closed candle.

The rules are walked by the backtest's own kernel over the same candles from the same first one, so the
vote is the decision that the backtest takes on that bar, to the bit, recursive indicators included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from alpharay.backtest.costs import Costs
from alpharay.backtest.holdings import OPEN, SIGNAL
from alpharay.backtest.settlement import TRADE_FIELDS
from alpharay.backtest.single import walk_signals
from alpharay.backtest.tables import PriceTables, price_tables
from alpharay.market.candles import Candles, FloatArray
from alpharay.market.timeframe import timeframe_ms
from alpharay.strategies.evaluation import Signals, signals
from alpharay.strategies.strategy import Strategy

Position = Literal["LONG", "FLAT", "SHORT"]
Event = Literal["ENTRY", "EXIT", "REVERSAL"]


@dataclass(frozen=True, slots=True)
class Vote:
    """The position that the rules hold after the newest candle's close, and since when."""

    position: Position
    event: Event | None = None
    """What the rules decided on the newest candle itself; None when it changed nothing."""
    decided_at: int | None = None
    """Open time (UTC, ms) of the candle on whose close it was decided; None without a decision yet."""
    bars_since: int | None = None
    """Candles since then: 0 when the newest candle decided it."""
    entry_price: float | None = None
    """The open at which the held position was filled; None when flat or not filled yet."""
    leaves: Position | None = None
    """On an exit or a reversal: the position that it ends."""


NO_VOTE = Vote("FLAT")


@dataclass(frozen=True, slots=True)
class VotingCandles:
    """Candles ready for many votes; `tables` have one candle more, in which the newest is filled."""

    candles: Candles
    tables: PriceTables


def voting_candles(candles: Candles) -> VotingCandles:
    """Prepare `candles`, at least one, for votes.

    The candle more opens, stays and closes at the newest close: it takes no decision, it only makes the
    newest candle's decision visible as a fill. Raises ValueError when a price is not finite and positive.
    """
    extended = replace(
        candles,
        open_time=np.append(candles.open_time, candles.open_time[-1] + timeframe_ms(candles.timeframe)),
        open=np.append(candles.open, candles.close[-1]),
        high=np.append(candles.high, candles.close[-1]),
        low=np.append(candles.low, candles.close[-1]),
        close=np.append(candles.close, candles.close[-1]),
        volume=np.append(candles.volume, 0.0),
    )
    return VotingCandles(candles, price_tables(extended))


def vote(
    strategy: Strategy,
    parameters: Mapping[str, float],
    candles: Candles | VotingCandles,
    *,
    costs: Costs = Costs(),
) -> Vote:
    """Return the strategy's vote on the newest of `candles`, oldest first; flat when there is none.

    `candles` start where the search's window starts: a recursive indicator depends on its first candle.
    `costs` count only for a short that is liquidated and for ruin, after which the rules trade no more.
    Raises ValueError when the parameters do not fit the strategy or a price is not finite and positive.
    """
    if isinstance(candles, Candles):
        if len(candles) == 0:
            strategy.check(parameters)
            return NO_VOTE
        candles = voting_candles(candles)
    said = _with_the_candle_more(signals(strategy, parameters, candles.candles))
    holding = int(strategy.minimum_holdings(strategy.genome(parameters)[None, :])[0])
    _, _, trades = walk_signals(said, candles.tables, costs, minimum_holding=holding)
    return _vote_of(trades, candles.candles)


def _with_the_candle_more(said: Signals) -> Signals:
    """Return the flags with a clear one for the candle that only fills."""
    flags = (said.enter, said.exit, said.enter_short, said.exit_short)
    enter, leave, *short = (None if one is None else np.append(one, False) for one in flags)
    assert enter is not None, "every strategy enters"
    assert leave is not None, "every strategy exits"
    return Signals(enter, leave, *short)


def _vote_of(trades: FloatArray, candles: Candles) -> Vote:
    if len(trades) == 0:
        return NO_VOTE
    newest = len(candles) - 1
    last = dict(zip(TRADE_FIELDS, trades[-1].tolist(), strict=True))
    side = _position(last["side"])
    if last["reason"] == OPEN:
        decided = int(last["entry_bar"]) - 1
        filled = decided < newest
        # The trade before was filled in the candle more too: the newest candle ended it.
        reverses = not filled and len(trades) > 1 and trades[-2, TRADE_FIELDS.index("exit_bar")] > newest
        return Vote(
            position=side,
            event=None if filled else "REVERSAL" if reverses else "ENTRY",
            decided_at=int(candles.open_time[decided]),
            bars_since=newest - decided,
            entry_price=last["entry_price"] if filled else None,
            leaves=_position(trades[-2, TRADE_FIELDS.index("side")]) if reverses else None,
        )
    # A signal's exit was decided on the bar before its fill; a liquidation happens inside its bar.
    decided = int(last["exit_bar"]) - (1 if last["reason"] == SIGNAL else 0)
    fresh = decided == newest
    return Vote(
        position="FLAT",
        event="EXIT" if fresh else None,
        decided_at=int(candles.open_time[decided]),
        bars_since=newest - decided,
        leaves=side if fresh else None,
    )


def _position(side: float) -> Position:
    return "LONG" if side > 0.0 else "SHORT"
