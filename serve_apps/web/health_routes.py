"""The routes by which an application is watched: health, metrics, status."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, Response

from alpharay.telemetry.mirror import joined
from alpharay.telemetry.registry import CONTENT_TYPE, exposition
from serve_apps.edges.edges import Edges
from serve_apps.web.answers import json_response


@dataclass(frozen=True)
class HealthTexts:
    """What an application's health routes and their document say.

    Attributes
    ----------
    stopped : the status told when it is not alive.
    dead, not_ready : what a 503 means, of each of the two questions.
    question : the summary of the one about readiness.
    """

    stopped: str
    dead: str
    not_ready: str
    question: str = "Can it answer everything?"


def add_health_routes(
    api: FastAPI,
    *,
    is_alive: Callable[[], bool],
    problem: Callable[[], str | None],
    readiness: Callable[[], Mapping[str, object]],
    texts: HealthTexts,
) -> None:
    """Add liveness and readiness, each under two paths; `readiness` is told with and without a `problem`."""

    async def live() -> Response:
        alive = is_alive()
        return json_response({"status": "alive" if alive else texts.stopped}, 200 if alive else 503)

    async def ready() -> Response:
        found = problem()
        state = {"status": "ready" if found is None else found, **readiness()}
        return json_response(state, 200 if found is None else 503)

    for path in ("/health", "/health/live"):
        api.get(path, summary="Is the process alive?", responses=_unavailable(texts.dead))(live)
    for path in ("/ready", "/health/ready"):
        api.get(path, summary=texts.question, responses=_unavailable(texts.not_ready))(ready)


def add_metrics_route(api: FastAPI, text: Callable[[], bytes]) -> None:
    """Add `/metrics`: what `text` returns at each scrape, and the process's own."""
    whole = joined((text, exposition))
    api.state.metrics_text = whole

    @api.get("/metrics", summary="Metrics of this replica in Prometheus' text format", response_class=PlainTextResponse)
    async def read_metrics() -> Response:
        return Response(whole(), media_type=CONTENT_TYPE)


def add_status_route(
    api: FastAPI,
    summary: str,
    state: Callable[[], Mapping[str, object]],
    *,
    edges: Edges | None,
    versions: Mapping[str, str],
) -> None:
    """Add `/status`: the application's own state, that of its edges, and the versions that run."""

    @api.get("/status", summary=summary)
    async def status() -> Response:
        told = None if edges is None else edges.status()
        return json_response({**state(), "edges": told, "versions": versions})


def _unavailable(meaning: str) -> dict[int | str, dict[str, Any]]:
    return {503: {"description": meaning}}
