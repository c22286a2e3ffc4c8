"""The JSON body of a request, read with a limit."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request

from alpharay.signals.refusal import RefusedError, refuse
from serve_apps.edges.client import header


async def read_json_body(request: Request, limit_bytes: int) -> bytes:
    """Return the body; raises RefusedError when it is too large or says that it is no JSON.

    A body without a content type is taken for JSON.
    """
    content_type = header(request.scope, b"content-type")
    if content_type is not None and content_type.partition(";")[0].strip().lower() != "application/json":
        raise refuse(
            "unsupported_media_type",
            f"Content-Type must be application/json, was {content_type[:100]!r}",
            field="Content-Type",
            value=content_type,
            hint="with curl: -H 'Content-Type: application/json'",
        )
    announced = header(request.scope, b"content-length")
    if announced is not None and (not announced.isdigit() or int(announced) > limit_bytes):
        raise body_too_large(announced, limit_bytes)
    body, more = b"", True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > limit_bytes:
            raise body_too_large(f"more than {limit_bytes}", limit_bytes)
    return body


def body_too_large(size: str, limit_bytes: int) -> RefusedError:
    """Return the refusal of a body of more than `limit_bytes` bytes."""
    return refuse(
        "body_too_large",
        f"the body may have {limit_bytes} bytes, was {size[:20]}",
        field="Content-Length",
        value=size,
        hint="send one request a body",
    )
