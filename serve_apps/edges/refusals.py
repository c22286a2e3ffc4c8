"""Refusals of the edges as answers: one shape, one line in the log, one count."""

from __future__ import annotations

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alpharay.signals.refusal import RefusedError
from serve_apps.edges.call import call_of
from serve_apps.edges.edge_metrics import EdgeMetrics
from serve_apps.request_log import tell_request
from serve_apps.web.errors import error_response


class Refusals:
    """Turns a RefusedError of what stands behind it into its answer."""

    def __init__(self, app: ASGIApp, metrics: EdgeMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        begun = False

        async def watch(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except ClientDisconnect:
            # Nobody is there to be answered.
            return
        except RefusedError as error:
            if begun:
                raise
            call, refusal = call_of(scope), error.refusal
            self._metrics.refusals.labels(refusal.code).inc()
            tell_request(
                "request refused",
                {
                    "code": refusal.code,
                    "field": refusal.field,
                    "client": None if call.client is None else call.client.name,
                    "path": scope["path"][:200],
                    "request_id": call.request_id,
                },
            )
            await error_response(refusal)(scope, receive, send)
