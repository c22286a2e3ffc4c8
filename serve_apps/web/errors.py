"""Errors over HTTP: one shape for all of them, `{"error": {"code", "field", "value", "message", "hint"}}`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from alpharay.signals.refusal import Refusal

STATUS = {
    "invalid_json": 400,
    "unauthenticated": 401,
    "missing_scope": 403,
    "not_found": 404,
    "unknown_symbol": 404,
    "unknown_market": 404,
    "unknown_pair": 404,
    "unknown_account": 404,
    "unknown_order": 404,
    "unknown_signal": 404,
    "method_not_allowed": 405,
    # The request is right, but the state it meets is not: a conflict, which passes with the next candle. Not 503:
    # the service works, and a proxy that sees 503 would take it out of its rotation or try again at once.
    "stale_data": 409,
    "trading_halted": 409,
    "risk_unknown": 409,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "invalid_field": 422,
    "missing_field": 422,
    "unknown_field": 422,
    "price_out_of_range": 422,
    "signal_id_reused": 422,
    "event_id_reused": 422,
    "order_id_reused": 422,
    "order_impossible": 422,
    "rate_limited": 429,
    "internal_error": 500,
    "not_ready": 503,
    "too_many_streams": 503,
    "memory_unavailable": 503,
    "trading_state_unknown": 503,
    "database_unavailable": 503,
    "rate_limit_unavailable": 503,
    "timed_out": 504,
}
"""The HTTP status of each code."""


def shown_error(refusal: Refusal) -> dict[str, str | None]:
    """Return what a client is told of a refusal."""
    return {
        "code": refusal.code,
        "field": refusal.field,
        "value": refusal.value,
        "message": refusal.message,
        "hint": refusal.hint,
    }


def error_response(refusal: Refusal, headers: Mapping[str, str] | None = None) -> Response:
    """Return a refusal as an HTTP response, with Retry-After where trying again may help."""
    retry = {} if refusal.retry_after_s is None else {"Retry-After": str(refusal.retry_after_s)}
    return Response(
        msgspec.json.encode({"error": shown_error(refusal)}),
        status_code=STATUS[refusal.code],
        media_type="application/json",
        headers={**(headers or {}), **retry},
    )
