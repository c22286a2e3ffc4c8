"""The JSON body of a request, read with a limit."""

from __future__ import annotations

from starlette.requests import Request

from alpharay.signals.refusal import RefusedError, refuse


async def read_json_body(request: Request, limit_bytes: int) -> bytes:
    """Return the body; raises RefusedError when it is too large or says that it is no JSON.

    A body without a content type is taken for JSON.
    """
    content_type = request.headers.get("content-type")
    if content_type is not None and content_type.partition(";")[0].strip().lower() != "application/json":
        raise refuse(
            "unsupported_media_type",
            f"Content-Type must be application/json, was {content_type[:100]!r}",
            field="Content-Type",
            value=content_type,
            hint="with curl: -H 'Content-Type: application/json'",
        )
    announced = request.headers.get("content-length", "0")
    if not announced.isdigit() or int(announced) > limit_bytes:
        raise body_too_large(announced, limit_bytes)
    body = b""
    async for part in request.stream():
        body += part
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
