"""What an application answers where no route does: unknown paths, wrong methods, failures."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from alpharay.signals.refusal import Refusal, refuse
from serve_apps.service_log import log
from serve_apps.web.errors import error_response


def add_error_routes(api: FastAPI, paths: Sequence[str]) -> None:
    """Answer in the one shape of all errors; `paths` are those that a lost client is told."""

    @api.exception_handler(HTTPException)
    async def refuse_route(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        path = request.url.path
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "")
            refused = refuse(
                "method_not_allowed",
                f"{path[:100]} takes {allowed}, was {request.method}",
                field="method",
                value=request.method,
                hint=f"use {allowed}",
            )
        else:
            refused = refuse("not_found", f"there is no {path[:100]}", field="path", value=path, hint=", ".join(paths))
        return error_response(refused.refusal, error.headers)

    @api.exception_handler(Exception)
    async def fail(request: Request, error: Exception) -> Response:
        log.error("request failed", exc_info=error, extra={"path": request.url.path[:200]})
        return error_response(
            Refusal(
                code="internal_error",
                message="the service failed on this request; it is logged under its request id",
                hint="send X-Request-ID with a report of it",
            )
        )
