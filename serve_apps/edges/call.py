"""What is known of one request on its way through the edges, for the application behind them too."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.types import Scope

from alpharay.telemetry.identifiers import new_identifier
from alpharay.telemetry.origin import Origin, clean_correlation_id, valid_traceparent
from serve_apps.edges.client import Client

_KEY = "alpharay.call"
_REQUEST_ID, _TRACEPARENT = b"x-request-id", b"traceparent"


@dataclass(slots=True)
class Call:
    """One request: what caused it, its client once that is known, and the headers that its answer will carry."""

    origin: Origin
    client: Client | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    @property
    def request_id(self) -> str:
        """The id under which the request is logged, published and stored."""
        return self.origin.correlation_id


def begin_call(scope: Scope) -> tuple[Scope, Call]:
    """Return the request's scope with its call in it.

    Its id is the X-Request-ID of the client or of Serve's proxy, made safe; where none came, the trace's, or a new one.
    The answer tells an id that was not sent, since no proxy did, and the id that one was changed to.
    """
    sent = traceparent = None
    for name, value in scope["headers"]:
        if name == _REQUEST_ID:
            sent = sent or value
        elif name == _TRACEPARENT:
            traceparent = valid_traceparent(str(value, "latin-1"))
    given = None if sent is None else str(sent, "latin-1")
    request_id = clean_correlation_id(given)
    if request_id is not None and request_id == given:
        call = Call(Origin(request_id, traceparent))
        return {**scope, _KEY: call}, call
    told = b"x-correlation-id"
    if request_id is None:
        request_id, told = (new_identifier() if traceparent is None else traceparent[3:35]), _REQUEST_ID
    shown = request_id.encode()
    call = Call(Origin(request_id, traceparent), headers=[(told, shown)])
    others = [one for one in scope["headers"] if one[0] != _REQUEST_ID]
    return {**scope, _KEY: call, "headers": [*others, (_REQUEST_ID, shown)]}, call


def call_of(scope: Scope) -> Call:
    """Return the call of a request that came through the edges."""
    call: Call = scope[_KEY]
    return call
