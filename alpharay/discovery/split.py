"""The part of a window that a search may see, and the part that it is judged on afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.single import Backtest, backtest
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.backtest.tables import PriceTables
from alpharay.market.candles import Candles
from alpharay.market.timeframe import timeframe_ms
from alpharay.strategies.evaluation import signals
from alpharay.strategies.strategy import Strategy


@dataclass(frozen=True, slots=True)
class Split:
    """Candles cut in two: rows before `at` train, the rest tests."""

    candles: Candles
    at: int

    @property
    def train(self) -> Candles:
        """The candles that the search sees."""
        return self.candles.slice(0, self.at)

    @property
    def test(self) -> Candles:
        """The candles that it does not see."""
        return self.candles.slice(self.at, len(self.candles))

    @property
    def train_end_time(self) -> int:
        """First open time that the search does not see, UTC ms."""
        if self.at < len(self.candles):
            return int(self.candles.open_time[self.at])
        return int(self.candles.open_time[-1]) + timeframe_ms(self.candles.timeframe)


def split(candles: Candles, train_fraction: float) -> Split:
    """Cut the candles after the first `train_fraction` of them; 1 leaves nothing to test on.

    Raises ValueError when the fraction is not in (0, 1], or fewer than two candles are left to train on: a
    trade needs one to decide on and one to fill at.
    """
    if not 0.0 < train_fraction <= 1.0:
        raise ValueError(f"train_fraction must be in (0, 1], was {train_fraction}")
    at = int(len(candles) * train_fraction)
    if at < 2:
        raise ValueError(
            f"a search needs at least 2 candles to train on, was {at} (train_fraction {train_fraction} of "
            f"{len(candles)} {candles.symbol} {candles.timeframe}): ingest more, or ask for a longer window"
        )
    return Split(candles, at)


def out_of_sample(
    strategy: Strategy,
    parameters: Mapping[str, float],
    parts: Split,
    costs: Costs = Costs(),
    stops: Stops = NO_STOPS,
    frictions: Frictions | None = None,
    *,
    tables: PriceTables | None = None,
) -> Backtest:
    """Backtest the test part alone: a fresh start with an equity of one and no position.

    `tables` are those of the test part, when they are there already.

    The indicators see the training candles too, so that the first test bar has its values, as it would live.
    The rules decide from the close of the first test bar on: its first fill is the open of the second.
    """
    said = signals(strategy, parameters, parts.candles)
    test = slice(parts.at, None)
    return backtest(
        parts.test if tables is None else tables,
        said.enter[test],
        said.exit[test],
        short_entries=None if said.enter_short is None else said.enter_short[test],
        short_exits=None if said.exit_short is None else said.exit_short[test],
        costs=costs,
        stops=stops,
        minimum_holding=int(strategy.minimum_holdings(strategy.genome(parameters)[None, :])[0]),
        frictions=frictions,
    )


def buy_and_hold(candles: Candles, costs: Costs = Costs(), frictions: Frictions | None = None) -> Backtest:
    """Backtest a purchase at the first open at which a strategy could buy, held to the end."""
    entries = np.zeros(len(candles), dtype=np.bool_)
    entries[:1] = True
    return backtest(candles, entries, np.zeros(len(candles), dtype=np.bool_), costs=costs, frictions=frictions)
