"""Serve applications that do nothing: what the proxy and the replica cost by themselves."""

from __future__ import annotations

from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from serve_apps.serve_log import LOGGING

noop = serve.deployment(
    num_replicas=1, max_ongoing_requests=64, ray_actor_options={"num_cpus": 0.1}, logging_config=LOGGING
)
"""The signal service's settings, one replica. No log line is written, unlike there."""


@noop
class Noop:
    """Takes the request's body, as every POST endpoint must, and answers an empty object."""

    async def __call__(self, request: Request) -> Response:
        """Answer."""
        await request.body()
        return Response(b"{}", media_type="application/json")


@noop
class NoopWithoutBody:
    """Answers an empty object at once. Serve's default proxy hands a body over in a second call, which it saves."""

    async def __call__(self, request: Request) -> Response:
        """Answer."""
        del request
        return Response(b"{}", media_type="application/json")
