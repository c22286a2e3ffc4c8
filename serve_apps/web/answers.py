"""Run what a route asks for, and answer, count and log it, whether it is refused or not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextvars import copy_context
from functools import partial
from typing import Any

import msgspec
from prometheus_client import Counter, Histogram
from starlette.requests import Request
from starlette.responses import Response

from alpharay.signals.refusal import RefusedError
from alpharay.telemetry.identifiers import new_identifier
from alpharay.telemetry.origin import clean_correlation_id, current_origin
from serve_apps.request_log import tell_request
from serve_apps.web.errors import error_response
from serve_apps.web.json_body import read_json_body

JSON = "application/json"


class Answers:
    """Answers the routes of one application.

    Parameters
    ----------
    service : its name, of its lines in the log.
    requests, seconds : its metrics, by route and outcome, and by route.
    told : the fields of an answer that its log line repeats.
    body_limit_bytes : the largest body that is read.
    """

    def __init__(
        self, service: str, requests: Counter, seconds: Histogram, *, told: Sequence[str], body_limit_bytes: int
    ) -> None:
        self._service = service
        self._requests = requests
        self._seconds = seconds
        self._told = told
        self._body_limit_bytes = body_limit_bytes

    async def answer(
        self, request: Request, route: str, ask: Callable[[], Any], executor: Executor | None = None
    ) -> Response:
        """Answer a request without a body with what `ask` returns, in the executor or here."""
        return await self._answered(request, route, lambda _: ask(), executor, with_body=False)

    async def answer_body(
        self, request: Request, route: str, ask: Callable[[bytes], Any], executor: Executor | None = None
    ) -> Response:
        """Answer a request with what `ask` makes of its JSON body."""
        return await self._answered(request, route, ask, executor, with_body=True)

    async def _answered(
        self,
        request: Request,
        route: str,
        ask: Callable[[bytes], Any],
        executor: Executor | None,
        *,
        with_body: bool,
    ) -> Response:
        started = time.perf_counter()
        told: dict[str, Any] = {}
        try:
            body = await read_json_body(request, self._body_limit_bytes) if with_body else b""
            if executor is None:
                found = ask(body)
            else:
                # With the request's context: what it stores and logs tells of its origin.
                work = partial(copy_context().run, ask, body)
                found = await asyncio.get_running_loop().run_in_executor(executor, work)
            outcome = found.get("decision", "ok")
            told = {name: found[name] for name in self._told if name in found}
            response = json_response(found)
        except RefusedError as error:
            refusal = error.refusal
            outcome = refusal.code
            told = {"field": refusal.field, "value": refusal.value}
            response = error_response(refusal)
        elapsed = time.perf_counter() - started
        self._requests.labels(route, outcome).inc()
        self._seconds.labels(route).observe(elapsed)
        tell_request(
            self._service,
            {
                "asked": route,
                "outcome": outcome,
                "latency_ms": round(elapsed * 1000.0, 3),
                "request_id": request_id(request),
                **told,
            },
        )
        return response


def request_id(request: Request) -> str:
    """Return the id that the client has given its request, or the one that it is given here."""
    origin = current_origin()
    if origin is not None:
        return origin.correlation_id
    given: str | None = getattr(request.state, "request_id", None)
    if given is None:
        given = clean_correlation_id(request.headers.get("x-request-id")) or new_identifier()
        request.state.request_id = given
    return given


def json_response(value: object, status_code: int = 200) -> Response:
    """Return a value as a JSON answer."""
    return Response(msgspec.json.encode(value), status_code=status_code, media_type=JSON)
