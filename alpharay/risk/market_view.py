"""What is known of the risk of markets and pairs at one moment: states up to the newest candle, and prices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from alpharay.market.candles import FloatArray
from alpharay.models.change_points import ChangePointState
from alpharay.models.hedge_ratio import HedgeState, mean_reversion, spread
from alpharay.models.volatility import FittedVolatility
from alpharay.risk.calibration import PairHistory, PriceHistory

State = TypeVar("State", FittedVolatility, ChangePointState, HedgeState)


class MarketName(NamedTuple):
    """Which market."""

    exchange: str
    symbol: str
    timeframe: str


class PairName(NamedTuple):
    """Which pair: y, hedged by x."""

    exchange: str
    y: str
    x: str
    timeframe: str


@dataclass(frozen=True, slots=True)
class StateView(Generic[State]):
    """A state after the newest candle, when it was fitted, and the newest candle of the fit (UTC ms)."""

    state: State
    fitted_ms: int
    decided_at: int


@dataclass(frozen=True, slots=True)
class MarketRisk:
    """One market: its newest closes, and its models where they are fitted."""

    name: MarketName
    history: PriceHistory
    volatility: StateView[FittedVolatility] | None = None
    change_points: StateView[ChangePointState] | None = None

    @property
    def candle_time(self) -> int:
        """Open time of the newest candle."""
        return int(self.history.open_time[-1])


@dataclass(frozen=True)
class PairRisk:
    """One pair: the logarithms of its prices, and its hedge up to the newest of them."""

    name: PairName
    pair: PairHistory
    hedge: StateView[HedgeState]

    @cached_property
    def reversion(self) -> Reversion:
        """How the spread of the newest hedge returns."""
        values = spread(self.hedge.state, self.pair.y, self.pair.x)
        try:
            back = mean_reversion(values)
        except ValueError as error:
            return Reversion(float(values[-1]) if len(values) else None, None, None, None, str(error))
        newest = float(values[-1])
        z_score = None if back.level is None or not back.deviation else (newest - back.level) / back.deviation
        t_statistic = back.t_statistic if math.isfinite(back.t_statistic) else None
        return Reversion(newest, z_score, back.half_life, t_statistic, None)


@dataclass(frozen=True, slots=True)
class Reversion:
    """The newest spread, how many deviations it is from its level, its half-life in candles, and what is missing."""

    spread: float | None
    z_score: float | None
    half_life: float | None
    t_statistic: float | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class RiskView:
    """All markets and pairs that have a model, and what could not be read."""

    markets: Mapping[MarketName, MarketRisk] = field(default_factory=dict)
    pairs: Mapping[PairName, PairRisk] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def common_returns(histories: list[PriceHistory], newest: int) -> FloatArray:
    """Return the simple returns of markets between the newest candles that all of them have: (periods, markets).

    At most `newest` periods. Raises ValueError when fewer than three candles are common.
    """
    times = histories[0].open_time
    for history in histories[1:]:
        times = np.intersect1d(times, history.open_time, assume_unique=True)
    if len(times) < 3:
        raise ValueError(f"the markets must have three candles in common, had {len(times)}")
    times = times[-newest - 1 :]
    closes = [history.close[np.searchsorted(history.open_time, times)] for history in histories]
    table = np.column_stack(closes)
    changes: FloatArray = table[1:] / table[:-1] - 1.0
    return changes
