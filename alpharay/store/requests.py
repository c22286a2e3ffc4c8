"""Discovery requests from Kafka become queued runs."""

from __future__ import annotations

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.bus.messages import DiscoveryRequest
from alpharay.bus.topics import DISCOVERY_REQUESTS
from alpharay.market.timeframe import timeframe_ms
from alpharay.store.message_writer import MessageWriter, RefusedMessageError
from alpharay.store.runs import enqueue_run


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
        timeframe_ms(request.timeframe)
    except ValueError as error:
        raise RefusedMessageError(str(error)) from error
    if request.start_time >= request.end_time:
        raise RefusedMessageError(f"start_time must be before end_time {request.end_time}, was {request.start_time}")
    if not 0.0 < request.train_fraction <= 1.0:
        raise RefusedMessageError(f"train_fraction must be above 0 and at most 1, was {request.train_fraction}")
    for name in ("population", "generations", "top_n", "min_trades"):
        if getattr(request, name) < 1:
            raise RefusedMessageError(f"{name} must be 1 or more, was {getattr(request, name)}")
    enqueue_run(connection, request)
