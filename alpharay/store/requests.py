"""Discovery requests from Kafka become queued runs."""

from __future__ import annotations

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions, frictions_from_json
from alpharay.backtest.pooled import PoolLimits
from alpharay.bus.messages import DiscoveryRequest
from alpharay.bus.topics import DISCOVERY_REQUESTS
from alpharay.discovery.evolution_settings import EvolutionSettings
from alpharay.discovery.settings import SearchSettings
from alpharay.market.timeframe import timeframe_ms
from alpharay.store.candle_rows import Market
from alpharay.store.message_writer import MessageWriter, RefusedMessageError
from alpharay.store.runs import enqueue_run

CARRIED_SETTINGS = (
    "patience", "islands", "migration_interval", "migrants", "tournament_size", "crossover_probability",
    "mutation_probability", "difference_share", "last_survivors",
)  # fmt: skip
"""Settings of a search that a request carries only where they are not the defaults: old ids stay what they are."""


def request_writer() -> MessageWriter[DiscoveryRequest]:
    """Return the writer that queues each request of `strategy-discovery-requests` as a run, once."""
    return MessageWriter(
        DISCOVERY_REQUESTS,
        "discovery-requests-consumer",
        DiscoveryRequest,
        message_id=lambda request: request.run_id,
        store=store_request,
    )


def store_request(connection: Connection[TupleRow], request: DiscoveryRequest) -> None:
    """Queue a run for the request; raises RefusedMessageError for one that no worker could ever run."""
    try:
        _check_timeframes(request)
        requested_search(request)
        requested_costs(request)
        requested_evolution(request)
        requested_pool(request)
    except ValueError as error:
        raise RefusedMessageError(str(error)) from error
    if request.start_time >= request.end_time:
        raise RefusedMessageError(f"start_time must be before end_time {request.end_time}, was {request.start_time}")
    if not 0.0 < request.train_fraction <= 1.0:
        raise RefusedMessageError(f"train_fraction must be above 0 and at most 1, was {request.train_fraction}")
    enqueue_run(connection, request)


def requested_search(request: DiscoveryRequest) -> SearchSettings:
    """Return how a request wants to be searched; raises ValueError naming the field that cannot be."""
    return SearchSettings(
        population=request.population,
        generations=request.generations,
        top_n=request.top_n,
        seed=request.seed,
        objective=request.objective,
        train_fraction=request.train_fraction,
        min_trades=request.min_trades,
        timeframes=() if request.resample_to is None else (request.resample_to,),
        **{name: value for name in CARRIED_SETTINGS if (value := getattr(request, name)) is not None},
    )


def requested_costs(request: DiscoveryRequest) -> tuple[Costs, Frictions | None]:
    """Return what trading costs in a request's search; raises ValueError naming the field that is out of range."""
    frictions = None if request.frictions is None else frictions_from_json(request.frictions)
    return Costs(request.fee, request.slippage), frictions


def requested_evolution(request: DiscoveryRequest) -> EvolutionSettings | None:
    """Return how a request wants rules to be evolved; None for one that searches parameters.

    Raises ValueError naming the field that cannot be.
    """
    if request.evolution is None:
        return None
    if request.resample_to is not None:
        raise ValueError(f"rules are evolved on the candles as they are, resample_to was {request.resample_to!r}")
    return EvolutionSettings(search=requested_search(request), **msgspec.structs.asdict(request.evolution))


def requested_pool(request: DiscoveryRequest) -> tuple[tuple[Market, ...], PoolLimits] | None:
    """Return the markets that a request wants traded with one account, and its limits; None for one market alone.

    Raises ValueError naming the field that cannot be.
    """
    if request.pool is None:
        return None
    if request.evolution is not None:
        raise ValueError("a request evolves rules on one market: give either evolution or pool")
    markets = request.pool.markets
    if not markets or markets[0] != (request.exchange, request.symbol):
        raise ValueError(f"pool.markets must begin with {request.exchange} {request.symbol}, the request's own market")
    symbols = [symbol for _, symbol in markets]
    if len(set(symbols)) < len(symbols):
        raise ValueError(f"pool.markets must be of different symbols, was {', '.join(symbols)[:100]}")
    limits = PoolLimits(max_positions=request.pool.max_positions, fraction=request.pool.position_share)
    return tuple(Market(exchange, symbol, request.timeframe) for exchange, symbol in markets), limits


def _check_timeframes(request: DiscoveryRequest) -> None:
    length = timeframe_ms(request.timeframe)
    if request.resample_to is not None and timeframe_ms(request.resample_to) % length:
        raise ValueError(f"resample_to must be a whole multiple of {request.timeframe}, was {request.resample_to!r}")
