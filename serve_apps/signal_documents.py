"""The signal service's bodies in its OpenAPI document."""

from __future__ import annotations

from typing import Any

from alpharay.signals.answer import SignalAnswer
from alpharay.signals.request import EXAMPLE, MOST_REQUESTS, MarketRequest, SignalBatch, SignalRequest
from alpharay.signals.snapshot import StrategyVote
from serve_apps.signal_service import BATCH_EXAMPLE
from serve_apps.web.answers import JSON
from serve_apps.web.documents import body_schemas, request_body, schema_of
from serve_apps.web.errors import STATUS


def signal_schemas() -> dict[str, Any]:
    """Return the schemas of the bodies, by name."""
    schemas = body_schemas(SignalRequest, SignalBatch, MarketRequest, SignalAnswer, StrategyVote)
    schemas["SignalAnswer"]["properties"]["strategies"] = {
        "type": "array",
        "items": schema_of("StrategyVote"),
        "description": "the strategies behind it, those of most weight first",
    }
    schemas["SignalBatch"]["properties"]["requests"] = {
        "type": "array",
        "items": schema_of("SignalRequest"),
        "minItems": 1,
        "maxItems": MOST_REQUESTS,
        "description": "each is answered, or refused, on its own",
    }
    schemas["SignalAnswers"] = _batch_answers()
    text = {"type": ["string", "null"]}
    schemas["Error"] = {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "code": {"enum": list(STATUS)},
                    "field": text,
                    "value": text,
                    "message": {"type": "string"},
                    "hint": text,
                },
            }
        },
    }
    return schemas


def signal_operation(limit_bytes: int) -> dict[str, Any]:
    """Return the OpenAPI parts that FastAPI cannot see: bodies are read and written by msgspec."""
    return {
        "requestBody": request_body(SignalRequest, EXAMPLE),
        "responses": {"200": _answer("the signal", "SignalAnswer"), **_refusals(limit_bytes)},
    }


def batch_operation(limit_bytes: int) -> dict[str, Any]:
    """Return the same of many requests in one body."""
    refusals = _refusals(limit_bytes)
    # What concerns one request of a batch is told beside it.
    del refusals["404"], refusals["409"]
    return {
        "requestBody": request_body(SignalBatch, BATCH_EXAMPLE),
        "responses": {"200": _answer("an answer or an error for each request, in order", "SignalAnswers"), **refusals},
    }


def _refusals(limit_bytes: int) -> dict[str, Any]:
    meanings = {
        "400": "the body is no JSON object",
        "401": "an API key or access token is needed, or the one sent is not valid",
        "403": "the key or token lacks the scope `read`",
        "404": "no candles of this symbol, time frame or exchange are stored; near symbols are named",
        "409": "the newest candle is too old by the exchange's clock; Retry-After tells when to ask again",
        "413": f"the body has more than {limit_bytes} bytes",
        "415": "Content-Type is not application/json",
        "422": "a field is missing, unknown or wrong; the answer names it and its value",
        "429": "the client has sent too many requests; Retry-After tells when to go on",
        "503": "busy, or the first snapshot is not loaded yet; Retry-After tells when to ask again",
        "504": "no answer in time; the work was cancelled",
    }
    return {status: _answer(meaning, "Error") for status, meaning in meanings.items()}


def _answer(meaning: str, schema: str) -> dict[str, Any]:
    return {"description": meaning, "content": {JSON: {"schema": schema_of(schema)}}}


def _batch_answers() -> dict[str, Any]:
    answered = {
        "type": "object",
        "required": ["status", "signal", "replayed"],
        "properties": {
            "status": {"const": 200},
            "signal": schema_of("SignalAnswer"),
            "replayed": {"type": "boolean", "description": "whether it is the first answer under this signal_id"},
        },
    }
    refused = {
        "type": "object",
        "required": ["status", "error"],
        "properties": {
            "status": {"type": "integer", "description": "what the request alone would have been answered with"},
            "error": {"type": "object"},
            "retry_after_seconds": {"type": ["integer", "null"]},
        },
    }
    return {
        "type": "object",
        "required": ["answers"],
        "properties": {"answers": {"type": "array", "items": {"oneOf": [answered, refused]}}},
    }
