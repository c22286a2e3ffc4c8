"""Shortcuts past an application's layers: what takes one, what does not, and what a failure there comes to."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.testclient import TestClient

from serve_apps.web.error_routes import add_error_routes
from serve_apps.web.shortcut import take_shortcut, with_shortcuts


def application() -> tuple[TestClient, list[str]]:
    """Return a client of an application of which `/fast` has a shortcut, and who answered it."""
    api = FastAPI()
    answered: list[str] = []

    async def fast(request: Request) -> Response:
        body = await request.json()
        if body == "fail":
            raise RuntimeError("broken")
        answered.append("shortcut" if "route" not in request.scope else "route")
        return JSONResponse(body)

    api.post("/fast")(fast)
    take_shortcut(api, "/fast", fast)
    add_error_routes(api, ["/fast"])
    return TestClient(with_shortcuts(api), raise_server_exceptions=False), answered


def test_a_post_of_its_path_takes_the_shortcut() -> None:
    client, answered = application()
    assert client.post("/fast", json={"symbol": "SOL"}).json() == {"symbol": "SOL"}
    assert answered == ["shortcut"]


def test_other_methods_and_paths_go_through_the_layers() -> None:
    client, answered = application()
    assert client.get("/fast").status_code == 405
    assert client.post("/faster", json={}).json()["error"]["code"] == "not_found"
    assert client.post("/fast/", json={}, follow_redirects=False).status_code in {307, 404}
    assert answered == []


def test_a_failure_there_is_answered_as_any_other() -> None:
    client, answered = application()
    response = client.post("/fast", json="fail")
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal_error"
    assert answered == []


def test_below_a_prefix_the_path_is_the_one_behind_it() -> None:
    client, answered = application()
    below = TestClient(client.app, root_path="/signal")
    assert below.post("/signal/fast", json=1).json() == 1
    assert answered == ["shortcut"]
