"""`alpharay load-test` against a small server of this machine."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from alpharay.cli.main import app
from alpharay.load import target
from alpharay.load.target import check_target

DETAILS = {
    "applications": {
        "signal": {"deployments": {"SignalService": {"target_num_replicas": 2, "replicas": [{"state": "RUNNING"}]}}}
    }
}


class Server(ThreadingHTTPServer):
    """Answers /full with 503 and Retry-After, /broken with 500, the dashboard's question, and all else with 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked: list[tuple[str, str, bytes, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        content = json.dumps(DETAILS).encode() if self.path.startswith("/api/serve") else b"{}"
        if not self.path.startswith("/api/serve"):
            self.server.asked.append((self.command, self.path, body, self.headers.get("x-api-key")))
        self.send_response({"/full": 503, "/broken": 500}.get(self.path, 200))
        if self.path == "/full":
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join(10.0)
    server.server_close()


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["load-test", *map(str, arguments)], env={"COLUMNS": "160"})
    return result.exit_code, result.stdout, result.stderr


def test_every_request_that_was_due_is_sent_with_body_and_headers_and_counted(server: Server, tmp_path: Path) -> None:
    page = tmp_path / "new" / "load.html"
    code, output, _ = run(
        f"{server.url}/ask", "--rate", 20, "--ramp-to", 60, "--seconds", 0.5, "--body", '{"symbol": "SOL"}',
        "--header", "X-API-Key: a:b", "--dashboard", server.url, "--output", page, "--json",
    )  # fmt: skip
    assert code == 0
    assert server.asked == [("POST", "/ask", b'{"symbol": "SOL"}', "a:b")] * 20
    found = json.loads(output)
    assert (found["requests"], found["answered"], found["failed"]) == (20, 20, 0)
    assert sum(second["due"] for second in found["seconds"]) == 20
    assert found["replicas"][0] == {"at_s": pytest.approx(0.0, abs=1.0), "target": 2, "running": 1}
    assert found["report"] == str(page)
    assert "Load on http" in page.read_text()


def test_turned_away_is_no_failure_and_the_summary_says_how_many(server: Server) -> None:
    code, output, _ = run(f"{server.url}/full", "--rate", 20, "--seconds", 0.5)
    assert code == 0
    assert "turned away" in output
    assert "10" in output.split("turned away")[1].splitlines()[0]


def test_a_failure_is_the_exit_status(server: Server) -> None:
    code, output, _ = run(f"{server.url}/broken", "--rate", 10, "--seconds", 0.5, "--json")
    assert (code, json.loads(output)["failed"]) == (1, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["http://198.51.100.7/", "--rate", 1], "198.51.100.7 is not this machine"),
        (["ftp://127.0.0.1/"], "the address must be http://host:port/path"),
        (["http://127.0.0.1:9/", "--rate", "20000"], "begin must be a rate of 0 to 10,000 requests a second"),
        (["http://127.0.0.1:9/", "--seconds", "4000"], "seconds must be above 0 and at most 3,600"),
        (["http://127.0.0.1:9/", "--most-in-flight", "0"], "most_in_flight must be 1 to 2000, was 0"),
        (["http://127.0.0.1:9/", "--timeout", "nan"], "timeout_s must be above 0 and at most 300, was nan"),
        (["http://127.0.0.1:9/", "--body", "{"], "--body must be JSON"),
        (["http://127.0.0.1:9/", "--header", "a-secret"], "--header must be NAME:VALUE"),
        (["http://127.0.0.1:9/", "--dashboard", "http://127.0.0.1:9"], "does not answer"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_line(arguments: list[object], message: str) -> None:
    code, _, error = run(*arguments)
    assert code == 2
    assert message in error


def test_a_deployment_that_is_not_there_is_told_before_the_load(server: Server) -> None:
    code, _, error = run(f"{server.url}/ask", "--dashboard", server.url, "--application", "risk")
    assert code == 2
    assert "risk/SignalService" in error
    assert server.asked == []


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/x", "http://localhost/", "https://[::1]:8443/", "http://127.9.9.9"]
)
def test_this_machine_may_be_loaded(url: str) -> None:
    check_target(url)


def test_a_name_with_one_address_elsewhere_is_not_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def addresses(host: str, *_: object, **__: object) -> list[Any]:
        kind = socket.SOCK_STREAM
        return [(socket.AF_INET, kind, 6, "", (one, 0)) for one in ("127.0.0.1", "198.51.100.7")]

    monkeypatch.setattr(target.socket, "getaddrinfo", addresses)
    with pytest.raises(ValueError, match="is not this machine"):
        check_target("http://two-faced.test/")
    check_target("http://two-faced.test/", allow_remote=True)


def test_a_name_that_is_unknown_is_not_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(target.socket, "getaddrinfo", unknown)
    with pytest.raises(ValueError, match="is not this machine"):
        check_target("http://nowhere.test/")
