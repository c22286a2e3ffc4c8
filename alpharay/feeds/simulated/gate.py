"""What a request passes before it is answered: the weight limit, ordered faults, and one log line."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from alpharay.feeds.simulated.exchange import SimulatedExchange
from alpharay.feeds.simulated.faults import Fault

WEIGHTS = {"/api/v3/exchangeInfo": 20, "/api/v3/klines": 2, "/api/v3/ticker/price": 4}
"""Binance's weights (a request of any other path weighs 1)."""

log = logging.getLogger("alpharay.simulated_exchange")


class Gate:
    """ASGI middleware for the exchange's own paths; `/simulated/...` passes freely."""

    def __init__(self, app: ASGIApp, exchange: SimulatedExchange) -> None:
        self._app = app
        self._exchange = exchange

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500
        client = scope["client"][0] if scope.get("client") else "unknown"
        verdict = self._exchange.weight.charge(client, WEIGHTS.get(scope["path"], 1))

        async def send_and_note(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                used = (b"x-mbx-used-weight-1m", str(verdict.used_weight).encode())
                message["headers"] = [*message.get("headers", []), used]
            await send(message)

        try:
            if verdict.status == 200:
                await self._answer(scope, receive, send_and_note)
            else:
                await _too_many(verdict.status, verdict.retry_after_s)(scope, receive, send_and_note)
        finally:
            about = {
                "path": scope["path"],
                "query": scope["query_string"].decode("latin-1"),
                "status": status,
            }
            log.info("request", extra={**about, "milliseconds": round((time.perf_counter() - started) * 1e3, 2)})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self._exchange.faults.next_for(scope["path"])
        match fault:
            case Fault(kind="status"):
                await _failing(fault)(scope, receive, send)
            case Fault(kind="garbage"):
                page = "<html><body>We are doing maintenance.</body></html>"
                await Response(page, media_type="text/html")(scope, receive, send)
            case Fault(kind="disconnect"):
                await _break_off(send)
            case Fault(kind="timeout"):
                await asyncio.sleep(fault.seconds)
                await self._app(scope, receive, send)
            case Fault():
                scope["fault"] = fault  # the rows are spoiled where they are made
                await self._app(scope, receive, send)
            case None:
                await self._app(scope, receive, send)


def _failing(fault: Fault) -> Response:
    if fault.status in (418, 429):
        return _too_many(fault.status, fault.retry_after_s)
    body = {"code": -1000, "msg": "An unknown error occurred while processing the request."}
    return JSONResponse(body, status_code=fault.status)


def _too_many(status: int, retry_after_s: int) -> Response:
    message = "Too much request weight used; please wait before the next request."
    if status == 418:
        message = f"Way too much request weight used; IP banned for {retry_after_s} s."
    headers = {"Retry-After": str(retry_after_s)}
    return JSONResponse({"code": -1003, "msg": message}, status_code=status, headers=headers)


async def _break_off(send: Send) -> None:
    """Announce more than is sent, so that the server closes the connection in mid answer."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"[[", "more_body": True})
