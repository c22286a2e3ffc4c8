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


def add_documents(api: FastAPI, examples: Examples, paths: Sequence[str]) -> None:
    """Add the document with the bodies' schemas, its page that works offline, and the list of paths at the root."""

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            made = get_openapi(title=api.title, version=api.version, description=api.description, routes=api.routes)
            _, schemas = msgspec.json.schema_components(tuple(examples), ref_template="#/components/schemas/{name}")
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


def described_body(kind: type[msgspec.Struct], examples: Examples, meanings: Mapping[int, str]) -> dict[str, Any]:
    """Return the OpenAPI parts that FastAPI cannot see: bodies are read by msgspec."""
    schema = {"$ref": f"#/components/schemas/{kind.__name__}"}
    return {
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": schema, "example": msgspec.json.decode(examples[kind])}},
        },
        "responses": {str(status): answer for status, answer in described(meanings, *meanings).items()},
    }


def described(meanings: Mapping[int, str], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI descriptions of some statuses."""
    return {status: {"description": meanings[status]} for status in statuses}
