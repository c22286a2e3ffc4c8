"""An application's OpenAPI document, with the bodies that msgspec reads, and its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, Response

from serve_apps.web.answers import JSON, json_response
from serve_apps.web.docs_page import PAGE_POLICY, docs_page

Examples = Mapping[type[msgspec.Struct], str]
"""An example in JSON of each body that an application takes."""
_SCHEMAS = "#/components/schemas/"


def add_documents(api: FastAPI, schemas: Mapping[str, Any], paths: Sequence[str]) -> None:
    """Add the document with the `schemas` of bodies, its page that works offline, and the list of paths at the root."""

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            made = get_openapi(title=api.title, version=api.version, description=api.description, routes=api.routes)
            made.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
            api.openapi_schema = made
        return api.openapi_schema

    api.openapi = document  # type: ignore[method-assign] # FastAPI's way to extend the document

    @api.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(document()), headers={"Content-Security-Policy": PAGE_POLICY})

    @api.get("/", include_in_schema=False)
    async def index() -> Response:
        return json_response({"service": api.title, "version": api.version, "paths": paths})


def body_schemas(*kinds: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the schemas of bodies, by name, as the document holds them."""
    _, schemas = msgspec.json.schema_components(kinds, ref_template=f"{_SCHEMAS}{{name}}")
    return schemas


def schema_of(name: str) -> dict[str, str]:
    """Return a reference to one of the document's schemas."""
    return {"$ref": f"{_SCHEMAS}{name}"}


def request_body(kind: type[msgspec.Struct], example: str | bytes) -> dict[str, Any]:
    """Return the OpenAPI description of a body that must be sent."""
    content = {JSON: {"schema": schema_of(kind.__name__), "example": msgspec.json.decode(example)}}
    return {"required": True, "content": content}


def described_body(kind: type[msgspec.Struct], examples: Examples, meanings: Mapping[int, str]) -> dict[str, Any]:
    """Return the OpenAPI parts that FastAPI cannot see: bodies are read by msgspec."""
    return {
        "requestBody": request_body(kind, examples[kind]),
        "responses": {str(status): answer for status, answer in described(meanings, *meanings).items()},
    }


def described(meanings: Mapping[int, str], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI descriptions of some statuses."""
    return {status: {"description": meanings[status]} for status in statuses}
