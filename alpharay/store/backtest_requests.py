"""Backtest requests from Kafka become queued backtests; those that could never run are refused."""

from __future__ import annotations

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions, frictions_from_json
from alpharay.backtest.stops import AtrTrail, Stops
from alpharay.bus.messages import BacktestRequest
from alpharay.bus.topics import BACKTEST_REQUESTS
from alpharay.market.timeframe import timeframe_ms
from alpharay.store.backtests import enqueue_backtest
from alpharay.store.message_writer import MessageWriter, RefusedMessageError
from alpharay.strategies.catalogue import strategy_named
from alpharay.strategies.codec import strategy_from_json
from alpharay.strategies.strategy import Strategy


def backtest_request_writer() -> MessageWriter[BacktestRequest]:
    """Return the writer that queues each request of `backtest-requests` as a backtest, once."""
    return MessageWriter(
        BACKTEST_REQUESTS,
        "backtest-requests-consumer",
        BacktestRequest,
        message_id=lambda request: request.request_id,
        store=store_backtest_request,
    )


def store_backtest_request(connection: Connection[TupleRow], request: BacktestRequest) -> None:
    """Queue a backtest for the request; raises RefusedMessageError for one that no worker could ever run."""
    try:
        check_backtest_request(request)
    except (ValueError, LookupError) as error:
        raise RefusedMessageError(str(error.args[0] if error.args else error)) from error
    enqueue_backtest(connection, request)


def check_backtest_request(request: BacktestRequest) -> None:
    """Raise ValueError or LookupError, naming the field, when a request can never be run, whatever candles come."""
    timeframe_ms(request.timeframe)
    if not request.request_id:
        raise ValueError("request_id must not be empty: it is what makes the request the same when it is sent again")
    if request.start_time >= request.end_time:
        raise ValueError(f"start_time must be before end_time {request.end_time}, was {request.start_time}")
    requested_costs(request)
    requested_frictions(request)
    requested_stops(request)
    requested_parameters(request, requested_rules(request))


def requested_rules(request: BacktestRequest) -> Strategy:
    """Return the strategy that a request names or carries; raises LookupError or ValueError."""
    if request.strategy is not None:
        return strategy_from_json(request.strategy)
    return strategy_named(request.strategy_name)


def requested_parameters(request: BacktestRequest, strategy: Strategy) -> dict[str, float]:
    """Return the parameters of a request, defaults where it gives none; raises ValueError naming one that is wrong."""
    unknown = sorted(request.parameters.keys() - strategy.defaults.keys())
    if unknown:
        raise ValueError(
            f"{strategy.name} has the parameters {', '.join(strategy.defaults) or 'none'}, was {', '.join(unknown)}"
        )
    parameters = {**strategy.defaults, **request.parameters}
    strategy.check(parameters)
    return parameters


def requested_costs(request: BacktestRequest) -> Costs:
    """Return the costs of a request; raises ValueError naming one that is out of range."""
    return Costs(request.fee, request.slippage)


def requested_frictions(request: BacktestRequest) -> Frictions | None:
    """Return the frictions of a request; raises ValueError naming a field that is wrong."""
    return None if request.frictions is None else frictions_from_json(request.frictions)


def requested_stops(request: BacktestRequest) -> Stops:
    """Return the stops of a request; raises ValueError naming one that is out of range or alone."""
    length, multiple = request.atr_trail_length, request.atr_trail_multiple
    if (length is None) != (multiple is None):
        raise ValueError(f"atr_trail_length and atr_trail_multiple come together, was {length} and {multiple}")
    trail = None if length is None or multiple is None else AtrTrail(length, multiple)
    return Stops(request.stop_loss, request.take_profit, request.trailing_stop, trail)
