"""Measure what each edge adds to a request, in this process: processor time, without network, proxy or application.

    python -m benchmarks.edges            a table
    python -m benchmarks.edges --json     one JSON object

The edges take turns; each figure is the smallest of the rounds, since a neighbour on the machine only adds. Each row is
an edge in front of an application that does nothing; that one's own time is taken away from `microseconds`.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alpharay.settings import Settings
from benchmarks.report import Figures, machine, report, versions
from cluster.local import valkey
from serve_apps.edges.access_rules import AccessRule
from serve_apps.edges.admission import Admission
from serve_apps.edges.answer_headers import AnswerHeaders
from serve_apps.edges.api_keys import new_key
from serve_apps.edges.body_limit import BodyLimit
from serve_apps.edges.call import begin_call
from serve_apps.edges.edges import Edges, edges_of
from serve_apps.edges.guarded_application import GuardedApplication
from serve_apps.edges.refusals import Refusals
from serve_apps.edges.time_limit import TimeLimit

ROUNDS = 9
REQUESTS = 2000
RULES = (AccessRule("/generate_signal*", "read"),)
NO_LIMIT = 10**9
SENT = [
    (b"host", b"127.0.0.1:8000"), (b"accept", b"*/*"), (b"user-agent", b"benchmark"),
    (b"content-type", b"application/json"), (b"content-length", b"30"), (b"x-request-id", b"0123456789abcdef"),
]  # fmt: skip
Case = tuple[ASGIApp, tuple[bytes, bytes] | None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of each edge (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ar-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        try:
            redis_url = valkey.start(folder / valkey.NAME).url
            spent = asyncio.run(measure(cases(folder, redis_url), options.rounds))
        finally:
            valkey.stop(folder / valkey.NAME)
    nothing = spent.pop("nothing")
    rows: list[dict[str, Any]] = [
        {"edge": name, "microseconds": round(seconds * 1e6 - nothing * 1e6, 1)} for name, seconds in spent.items()
    ]
    figures: Figures = {
        "as_in_the_demo_microseconds": next(row["microseconds"] for row in rows if row["edge"] == "all, without keys"),
        "rounds": options.rounds,
        "versions": versions("starlette", "pyjwt", "redis"),
        "machine": machine(),
    }
    report("edges", figures, rows, as_json=options.json)


def cases(folder: Path, redis_url: str) -> dict[str, Case]:
    """Return the edges in front of an application that does nothing, each with the header that it asks for."""
    key, line = new_key("desk", ["read"])
    secret = "a secret of more than thirty-two bytes"
    private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public_file = folder / "public.pem"
    public_file.write_bytes(
        private_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    claims = {"sub": "ann", "exp": int(time.time()) + 3600, "scope": "read"}
    hs256 = (b"authorization", b"Bearer " + jwt.encode(claims, secret, algorithm="HS256").encode())
    rs256 = (b"authorization", b"Bearer " + jwt.encode(claims, private_key, algorithm="RS256").encode())
    api_key = (b"x-api-key", key.encode())
    off = edges()
    keys = SecretStr(line)
    return {
        "nothing": (nothing, None),
        "headers of the answer, request id": (AnswerHeaders(nothing), None),
        "refusals": (called(Refusals(nothing, off.metrics)), None),
        "time limit": (called(TimeLimit(nothing, 8.0)), None),
        "size limit": (called(BodyLimit(nothing, 1_048_576)), None),
        "admission without keys": (admission(off), None),
        "admission, API key": (admission(edges(api_keys=keys, rate_limit_per_minute=0)), api_key),
        "admission, HS256": (admission(edges(jwt_secret=SecretStr(secret), rate_limit_per_minute=0)), hs256),
        "admission, RS256": (admission(edges(jwt_public_key_file=str(public_file), rate_limit_per_minute=0)), rs256),
        "admission, limit in this process": (admission(edges(rate_limit_per_minute=NO_LIMIT)), None),
        "admission, limit in Valkey": (
            admission(edges(rate_limit_per_minute=NO_LIMIT, redis_url=SecretStr(redis_url))),
            None,
        ),
        "all, without keys": (GuardedApplication(Nothing(), off), None),
        "all, API key, limit in this process": (
            GuardedApplication(Nothing(), edges(api_keys=keys, rate_limit_per_minute=NO_LIMIT)),
            api_key,
        ),
    }


async def measure(asked: dict[str, Case], rounds: int) -> dict[str, float]:
    """Return seconds of processor time a request."""
    spent: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(rounds):
        for name, (application, header) in asked.items():
            scopes = [request(header) for _ in range(REQUESTS)]
            started = time.process_time()
            for scope in scopes:
                await application(scope, no_body, nowhere)
            spent[name].append((time.process_time() - started) / REQUESTS)
    return {name: min(seconds) for name, seconds in spent.items()}


def edges(**settings: Any) -> Edges:
    return edges_of(Settings(**settings), "benchmark", RULES)


def admission(guarding: Edges) -> ASGIApp:
    return called(Admission(nothing, guarding.rules, guarding.identity, guarding.rate_limit))


def called(edge: ASGIApp) -> ASGIApp:
    """Begin the call that the edge needs; that too is in its figure."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        scope, _ = begin_call(scope)
        await edge(scope, receive, send)

    return application


def request(header: tuple[bytes, bytes] | None) -> Scope:
    return {
        "type": "http", "method": "POST", "path": "/generate_signal", "root_path": "", "scheme": "http",
        "client": ("127.0.0.1", 1), "headers": SENT if header is None else [*SENT, header],
    }  # fmt: skip


async def nothing(_scope: Scope, _receive: Receive, send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


class Nothing(FastAPI):
    """An application without FastAPI's own time."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await nothing(scope, receive, send)


async def no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def nowhere(_message: Message) -> None:
    pass


if __name__ == "__main__":
    main()
