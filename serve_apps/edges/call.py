"""What is known of one request on its way through the edges, for the application behind them too."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from starlette.types import Scope

from serve_apps.edges.client import Client, header

_KEY = "alpharay.call"
MAX_REQUEST_ID = 128


@dataclass(slots=True)
class Call:
    """One request: its id, its client once that is known, and the headers that its answer will carry."""

    request_id: str
    client: Client | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


def begin_call(scope: Scope) -> tuple[Scope, Call]:
    """Return the request's scope with its call in it; an id is made where the client, or Serve's proxy, sent none."""
    request_id = header(scope, b"x-request-id")
    if request_id:
        call = Call(request_id[:MAX_REQUEST_ID])
        return {**scope, _KEY: call}, call
    call = Call(uuid.uuid4().hex)
    sent = [one for one in scope["headers"] if one[0] != b"x-request-id"]
    return {**scope, _KEY: call, "headers": [*sent, (b"x-request-id", call.request_id.encode())]}, call


def call_of(scope: Scope) -> Call:
    """Return the call of a request that came through the edges."""
    call: Call = scope[_KEY]
    return call
