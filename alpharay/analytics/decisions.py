"""What signals said and what became of it, as columns: signals that stand and fall together are one row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from alpharay.analytics.uniqueness import average_uniqueness
from alpharay.market.candles import FloatArray, IntArray


class MarketName(NamedTuple):
    """What a signal is about."""

    exchange: str
    symbol: str
    timeframe: str


@dataclass(frozen=True, slots=True)
class StrategySet:
    """The strategies behind a signal and what each asked for (1, 0, -1); None where the signal did not say."""

    strategy_ids: tuple[str, ...]
    sides: tuple[int, ...] | None = None

    def supporters(self, side: int) -> tuple[str, ...]:
        """Return those that asked for what the signal said; all where it is not known."""
        if self.sides is None:
            return self.strategy_ids
        return tuple(name for name, asked in zip(self.strategy_ids, self.sides, strict=True) if asked == side)


@dataclass(frozen=True, slots=True)
class Decisions:
    """BUYs and SELLs with an outcome.

    Signals of one market with the same action, confidence, strategies, entry and exit are one decision: that a client
    asked a hundred times says nothing more. `market[i]` and `strategy_set[i]` are places in `markets` and `sets`;
    `signals[i]` is how many signals the decision is.
    """

    markets: tuple[MarketName, ...]
    sets: tuple[StrategySet, ...]
    market: IntArray
    strategy_set: IntArray
    side: IntArray
    confidence: FloatArray
    entry_time: IntArray
    exit_time: IntArray
    net_return: FloatArray
    signals: IntArray

    def __len__(self) -> int:
        return len(self.side)

    def take(self, rows: npt.NDArray[np.bool_] | IntArray) -> Decisions:
        """Return the rows chosen by a mask or by places."""
        return Decisions(
            self.markets,
            self.sets,
            *(
                getattr(self, name)[rows]
                for name in (
                    "market", "strategy_set", "side", "confidence", "entry_time", "exit_time", "net_return", "signals",
                )
            ),
        )  # fmt: skip

    def weights(self) -> FloatArray:
        """Return how many independent observations each is worth among these."""
        return average_uniqueness(self.entry_time, self.exit_time, self.market)

    def by_strategy(self) -> Mapping[str, Decisions]:
        """Return the decisions that each strategy asked for, by its id."""
        places: dict[str, list[IntArray]] = {}
        for side in (1, -1):
            for number in np.unique(self.strategy_set[self.side == side]).tolist():
                rows = np.flatnonzero((self.strategy_set == number) & (self.side == side))
                for name in self.sets[number].supporters(side):
                    places.setdefault(name, []).append(rows)
        return {name: self.take(np.sort(np.concatenate(found))) for name, found in places.items()}

    def by_market(self) -> Mapping[MarketName, Decisions]:
        """Return the decisions of each market that has any."""
        return {self.markets[number]: self.take(self.market == number) for number in np.unique(self.market).tolist()}

    def by_action(self) -> Mapping[str, Decisions]:
        """Return the BUYs and the SELLs, also where there are none."""
        return {"BUY": self.take(self.side == 1), "SELL": self.take(self.side == -1)}


def no_decisions() -> Decisions:
    """Return none."""
    return decisions_of([])


class DecisionRow(NamedTuple):
    """One decision; its fields are the columns of `Decisions`."""

    market: MarketName
    strategy_set: StrategySet
    side: int
    confidence: float
    entry_time: int
    exit_time: int
    net_return: float
    signals: int = 1


def decisions_of(rows: Sequence[DecisionRow]) -> Decisions:
    """Return rows as columns; raises ValueError for a side other than 1 or -1, or a return that is not finite."""
    for row in rows:
        if row.side not in (1, -1):
            raise ValueError(f"side must be 1 or -1, was {row.side}")
        if not np.isfinite(row.net_return):
            raise ValueError(f"net_return must be finite, was {row.net_return}")
    markets = {name: place for place, name in enumerate(dict.fromkeys(row.market for row in rows))}
    sets = {one: place for place, one in enumerate(dict.fromkeys(row.strategy_set for row in rows))}

    def whole(values: Sequence[int]) -> IntArray:
        return np.array(values, np.int64)

    return Decisions(
        markets=tuple(markets),
        sets=tuple(sets),
        market=whole([markets[row.market] for row in rows]),
        strategy_set=whole([sets[row.strategy_set] for row in rows]),
        side=whole([row.side for row in rows]),
        confidence=np.array([row.confidence for row in rows], np.float64),
        entry_time=whole([row.entry_time for row in rows]),
        exit_time=whole([row.exit_time for row in rows]),
        net_return=np.array([row.net_return for row in rows], np.float64),
        signals=whole([row.signals for row in rows]),
    )
