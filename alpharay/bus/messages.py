"""The messages on Kafka: versioned structs, JSON on the wire, readable in any Kafka viewer.

`version` grows when the meaning of a field changes; new optional fields do not change it. A reader that meets
a newer version than it knows must stop its partition, not drop the message.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

# UTC ms, from 1900 (a revision from 1970) to 2100: what lies outside is a mistake of units.
OPEN_TIME_RANGE = (-2_208_988_800_000, 4_102_444_800_000)
REVISION_RANGE = (0, 4_102_444_800_000)

OpenTime = Annotated[int, msgspec.Meta(ge=OPEN_TIME_RANGE[0], le=OPEN_TIME_RANGE[1])]
Revision = Annotated[int, msgspec.Meta(ge=REVISION_RANGE[0], le=REVISION_RANGE[1])]


class CandleMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One closed candle. Identity: exchange, symbol, timeframe, open_time; the highest revision wins."""

    version: int = 1
    exchange: str
    symbol: str
    timeframe: str
    open_time: OpenTime
    open: float
    high: float
    low: float
    close: float
    volume: float
    revision: Revision
    """UTC ms at which the exchange's answer was received."""


class DiscoveryPool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The markets that one account trades, and how it shares its capital."""

    markets: tuple[tuple[str, str], ...]
    """Exchange and symbol of each, the most preferred first: that of the request."""
    max_positions: int = 1
    position_share: float | None = None
    """Share of the equity that an entry takes; None is an equal one."""


class RuleEvolution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How rules are evolved; the fields are those of `alpharay.discovery.evolution_settings.EvolutionSettings`."""

    height: int
    most_nodes: int
    parsimony: float
    crossover_probability: float
    elites: int


class DiscoveryRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Search one strategy's parameters on one market and window, or on several; or evolve rules.

    `run_id` is made by the client; asking twice is one run.
    """

    version: int = 1
    run_id: str
    exchange: str
    symbol: str
    timeframe: str
    start_time: int
    """First candle's open time, UTC ms."""
    end_time: int
    """UTC ms, exclusive."""
    strategy_name: str
    strategy: dict[str, Any] | None = None
    """The rules (`alpharay.strategies.codec`) where they are not the catalogue's under that name."""
    population: int = 50
    generations: int = 30
    top_n: int = 5
    seed: int = 0
    objective: str = "sharpe"
    train_fraction: float = 0.7
    """Share of the window that the search may see; the rest is out of sample."""
    min_trades: int = 10
    """Parameter sets with fewer trades in sample are no candidates."""
    fee: float = 0.001
    """Fraction of the traded value, each side."""
    slippage: float = 0.0002
    """Fraction of the price, each side."""
    frictions: dict[str, Any] | None = None
    """What the account meets beyond fee and slippage (`alpharay.backtest.frictions.frictions_to_json`); or None."""
    resample_to: str | None = None
    """Time frame that is searched, a whole multiple of `timeframe`; None searches the candles as they are."""
    evolution: RuleEvolution | None = None
    """Evolve rules, in this way; None searches the strategy's parameters."""
    pool: DiscoveryPool | None = None
    """Search parameters that trade these markets with one account; None searches for this market alone."""
    patience: int | None = None
    """As the fields below, of `alpharay.discovery.settings.SearchSettings`; None is its default."""
    islands: int | None = None
    migration_interval: int | None = None
    migrants: int | None = None
    tournament_size: int | None = None
    crossover_probability: float | None = None
    mutation_probability: float | None = None
    difference_share: float | None = None
    last_survivors: float | None = None


class DiscoveredStrategy(msgspec.Struct, frozen=True, kw_only=True):
    """One champion of a run.

    Identity: `strategy_id`, the hash of expression, parameters, symbol and timeframe.
    """

    version: int = 1
    message_id: str
    strategy_id: str
    run_id: str
    exchange: str
    symbol: str
    timeframe: str
    strategy_name: str
    strategy: dict[str, object]
    """The strategy expression as JSON (`alpharay.strategies.codec`)."""
    parameters: dict[str, float]
    score: float
    """The objective's value in sample."""
    start_time: int
    end_time: int
    train_end_time: int
    """First open time that the search did not see, UTC ms."""
    in_sample: dict[str, float | None]
    out_of_sample: dict[str, float | None]
    objective: str | None = None
    """What `score` measures; the run's request says it when this does not."""


class BacktestRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Backtest one parameter set of a strategy on one market and window.

    `request_id` is made by the client; asking twice is one backtest.
    """

    version: int = 1
    request_id: str
    exchange: str
    symbol: str
    timeframe: str
    start_time: int
    """First candle's open time, UTC ms."""
    end_time: int
    """UTC ms, exclusive."""
    strategy_name: str
    strategy: dict[str, object] | None = None
    """The rules as JSON (`alpharay.strategies.codec`); None means those that the catalogue has under the name."""
    parameters: dict[str, float] = {}
    """By name; those that are not given have their defaults."""
    fee: float = 0.001
    """Fraction of the traded value, each side."""
    slippage: float = 0.0002
    """Fraction of the price, each side."""
    stop_loss: float | None = None
    """Fraction of the entry price, as `take_profit`."""
    take_profit: float | None = None
    trailing_stop: float | None = None
    """Fraction of the best price since the entry."""
    atr_trail_length: int | None = None
    """Bars of the average true range; given together with `atr_trail_multiple`."""
    atr_trail_multiple: float | None = None
    frictions: dict[str, Any] | None = None
    """What the account meets beyond fee and slippage (`alpharay.backtest.frictions.frictions_to_json`); or None."""


class BacktestResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a backtest ended; trades and equity are in the table `backtests`, under the same id."""

    version: int = 1
    request_id: str
    symbol: str
    status: str
    """DONE or FAILED."""
    metrics: dict[str, float | None]
    """Empty when it failed."""
    error: str | None = None


class StrategyScore(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy's confidence in [0, 1] and its parts (`alpharay.selection.confidence`)."""

    strategy_id: str
    confidence: float
    performance: float
    frequency: float
    recency: float
    unseen_days: int
    unseen_trades: int


class StrategyScores(msgspec.Struct, frozen=True, kw_only=True):
    """The confidences of one market's validated and deployed strategies at the close of its newest candle."""

    version: int = 1
    exchange: str
    symbol: str
    timeframe: str
    decided_at: int
    """UTC ms."""
    scores: tuple[StrategyScore, ...]


class EnsembleMember(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy of an ensemble; the weights of all sum to one."""

    strategy_id: str
    weight: float
    confidence: float


class EnsembleChosen(msgspec.Struct, frozen=True, kw_only=True):
    """The strategies of one market that speak together (`alpharay.selection.ensemble`)."""

    version: int = 1
    exchange: str
    symbol: str
    timeframe: str
    decided_at: int
    """UTC ms."""
    members: tuple[EnsembleMember, ...]
    quality: float
    mean_correlation: float


class StrategyRotation(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy was deployed, withdrawn (it stays validated) or retired, and why."""

    version: int = 1
    exchange: str
    symbol: str
    timeframe: str
    strategy_id: str
    kind: str
    """DEPLOY, WITHDRAW or RETIRE."""
    reason: str
    decided_at: int
    """UTC ms."""


class SignalMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A signal that the service answered with.

    Identity: `signal_id`. A client that asks again under its own id causes no second message; a batch that
    the broker did not acknowledge may be sent twice.
    """

    version: int = 1
    signal_id: str
    request_id: str
    exchange: str
    symbol: str
    timeframe: str
    action: str
    """BUY, SELL or HOLD."""
    confidence: float
    """In [0, 1]."""
    price: float
    """The client's price."""
    candle_time: OpenTime
    """Open time of the newest closed candle, UTC ms."""
    candle_close: float
    strategy_ids: tuple[str, ...]
    generated_at: int
    """UTC ms."""
    exchange_time: OpenTime | None = None
    """The exchange's time when it was made, UTC ms: a replay's is not `generated_at`."""
    strategy_sides: tuple[int, ...] | None = None
    """What each of `strategy_ids` asked for: 1 to be long, -1 to be short or to leave a long, 0 for nothing."""


class OrderMessage(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it stands after a change. Identity: `order_id` and `revision`; the highest revision is the newest.

    Numbers are decimals as text, exact.
    """

    version: int = 1
    order_id: str
    revision: int
    account_id: str
    symbol: str
    side: str
    """buy or sell."""
    kind: str
    """market or limit."""
    quantity: str
    limit_price: str | None
    status: str
    """intended, sending, open, partially_filled, filled, rejected or cancelled."""
    filled_quantity: str
    reason: str | None = None


class FillMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A fill that is booked in the ledger. Identity: `account_id` and `fill_id`. Numbers as in `OrderMessage`."""

    version: int = 1
    account_id: str
    fill_id: str
    order_id: str
    symbol: str
    side: str
    """buy or sell."""
    quantity: str
    price: str
    fee: str
    """In the account's currency; below zero is a rebate."""
    time_ms: int
    """UTC ms."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """What could not be processed, why, and where it came from.

    `alpharay dead-letters replay` publishes it again.
    """

    version: int = 1
    reason: str
    source: str
    """The part that refused it: ingest, candle-sink, discovery-consumer, …"""
    topic: str | None = None
    """Where it should go when replayed."""
    key: str | None = None
    value: str
    """The refused value: JSON text, or base64 when `encoding` says so."""
    encoding: str = "text"
    correlation_id: str | None = None
    refused_at: int
    """UTC ms."""
