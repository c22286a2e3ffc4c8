"""What is asked most goes to its endpoint past the application's layers, which cost as much as the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from alpharay.signals.refusal import RefusedError
from serve_apps.edges.access_rules import route_path

Endpoint = Callable[[Request], Awaitable[Response]]


def take_shortcut(api: FastAPI, path: str, endpoint: Endpoint) -> None:
    """Let POST requests of a path, which a route of the application answers too, be answered past the layers."""
    shortcuts_of(api)[path] = endpoint


def shortcuts_of(api: FastAPI) -> dict[str, Endpoint]:
    """Return the application's shortcuts by path."""
    if not hasattr(api.state, "shortcuts"):
        api.state.shortcuts = {}
    shortcuts: dict[str, Endpoint] = api.state.shortcuts
    return shortcuts


def with_shortcuts(api: FastAPI) -> ASGIApp:
    """Return the application with its shortcuts in front; a failure is answered as the application answers one."""
    endpoints: Mapping[str, Endpoint] = shortcuts_of(api)
    fail = api.exception_handlers[Exception]

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = None
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = endpoints.get(route_path(scope))
        if endpoint is None:
            await api(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await endpoint(request)
        except (RefusedError, ClientDisconnect):
            # The edges answer these.
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets its answer
            response = await fail(request, error)  # type: ignore[misc]
        await response(scope, receive, send)

    return application
