"""Work on messages as a part of the traces that they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from confluent_kafka import Message

from alpharay.bus.consumer import message_origin
from alpharay.telemetry.origin import caused_by
from alpharay.telemetry.spans import Attributes, is_tracing, span

LOOKED_AT = 1_000
TRACED = 64
"""Of a batch the first thousand messages are asked for their trace, and so many get a span."""


@contextmanager
def processing(topic: str, consumer: str, messages: Sequence[Message]) -> Iterator[None]:
    """Make the work inside a span in the trace of each message.

    A batch is one piece of work for many requests: each trace shows all of it, and what is done within, such as a
    statement, stands in the trace of the first. A single message is the cause of all that is done, traced or not.
    """
    if not is_tracing():
        with caused_by(message_origin(messages[0]) if len(messages) == 1 else None):
            yield
        return
    attributes: Attributes = {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.consumer.group.name": consumer,
        "messaging.batch.message_count": len(messages),
    }
    found = (message_origin(message) for message in messages[:LOOKED_AT])
    traced = [origin for origin in found if origin is not None and origin.traceparent is not None][:TRACED]
    with ExitStack() as spans:
        # The first is entered last: it is the one that the work goes on in.
        for origin in reversed(traced):
            spans.enter_context(caused_by(origin))
            spans.enter_context(span(f"process {topic}", "consumer", attributes))
        yield
