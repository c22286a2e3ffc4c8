"""Everything that decides whether a discovery is promoted, in one frozen value with a hash.

The error rate and the power that are measured for a configuration hold for that configuration: results carry its hash.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import msgspec

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions, frictions_to_json
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.discovery.search import SearchSettings
from alpharay.market.timeframe import timeframe_ms
from alpharay.strategies.catalogue import strategy_named
from alpharay.strategies.codec import strategy_to_json
from alpharay.strategies.strategy import Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class LastGate:
    """What a candidate must show on candles that are newer than everything the search has seen.

    Parameters
    ----------
    min_trades, min_days : int
        With fewer of either the verdict is "insufficient", neither promoted nor rejected.
    permutations, level : int, float
        The candidate's excess on the unseen candles is tested against that on sign-flipped ones, and must reach
        this level. One parameter set is tested, so it need not be strict.
    """

    min_trades: int = 30
    min_days: int = 30
    permutations: int = 99
    level: float = 0.2

    def __post_init__(self) -> None:
        for name, least in {"min_trades": 1, "min_days": 2}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} of the last gate must be at least {least}, was {getattr(self, name)}")
        _check_level(self.level, self.permutations, "the last gate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """How discoveries are made and judged.

    Parameters
    ----------
    strategies : tuple of Strategy
        The families searched; the best result of all of them is the candidate.
    timeframe : str
        Candles are resampled to it before anything else.
    search : SearchSettings
        Its `train_fraction` leaves the rest of the window, unseen, to the last gate.
    permutations, level : int, float
        Of the whole search, on sign-flipped training candles; p must be at most `level`.
    """

    strategies: tuple[Strategy, ...]
    timeframe: str
    search: SearchSettings
    costs: Costs = Costs()
    stops: Stops = NO_STOPS
    frictions: Frictions | None = None
    permutations: int = 99
    level: float = 0.05
    last_gate: LastGate = field(default_factory=LastGate)

    def __post_init__(self) -> None:
        if not self.strategies:
            raise ValueError("a configuration needs at least one strategy, was none")
        timeframe_ms(self.timeframe)
        _check_level(self.level, self.permutations, "the permutation test")
        if not self.search.train_fraction < 1.0:
            raise ValueError("train_fraction must be below 1, was 1: the last gate needs candles that nobody has seen")


def _check_level(level: float, permutations: int, of: str) -> None:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level of {of} must be in (0, 1), was {level}")
    if permutations < 1 or 1.0 / (1 + permutations) > level:
        least = int(1.0 / level - 1e-9)
        raise ValueError(f"permutations of {of} must be at least {least} to reach {level}, was {permutations}")


def configuration_json(configuration: Configuration) -> dict[str, Any]:
    """Return the configuration as plain JSON values: strategies with their rules, so that a changed rule shows."""
    json = _plain(configuration)
    assert isinstance(json, dict)
    # Absent where there are none: hashes from before frictions stay what they were.
    del json["frictions"]
    return json if configuration.frictions is None else json | {"frictions": frictions_to_json(configuration.frictions)}


def configuration_hash(configuration: Configuration) -> str:
    """Return the first 16 hexadecimal digits of SHA-256 over the configuration."""
    canonical = msgspec.json.encode(configuration_json(configuration), order="sorted")
    return hashlib.sha256(canonical).hexdigest()[:16]


def _plain(value: object) -> object:
    if isinstance(value, Strategy):
        return strategy_to_json(value)
    if is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


FROZEN = Configuration(
    strategies=tuple(
        strategy_named(name) for name in ("MOMENTUM_SMA_CROSSOVER", "SMA_EMA_CROSSOVER", "VOLUME_BREAKOUT")
    ),
    timeframe="1h",
    # Trades enough in sample to be judged on the unseen rest; one island, because so few genomes need no more. All
    # survive: in four generations a shrinking population settles on the wrong hill too often.
    search=SearchSettings(
        population=100,
        generations=4,
        islands=1,
        top_n=1,
        last_survivors=1.0,
        objective="sharpe",
        train_fraction=0.7,
        min_trades=110,
    ),
    # The fewest that can reach the level, so that hundreds of whole runs are affordable; more add a little power.
    permutations=19,
    level=0.05,
    last_gate=LastGate(permutations=39),
)
"""The configuration whose error rate and power are in docs/benchmarks.md: change it, and they must be measured anew."""
