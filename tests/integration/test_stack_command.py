"""The whole local stack through its command: up twice, parts killed, the command killed, down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from alpharay.settings import ENDPOINTS_FILE, STATE_FOLDER, Settings
from cluster.local import stack
from cluster.local.endpoints import VARIABLES
from cluster.local.process import leftovers, running, wait_for_end

REPOSITORY = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 240


class Project:
    """A folder with a stack of its own, and the command that works on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / STATE_FOLDER

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        ours = {*VARIABLES.values(), "ALPHARAY_RAY_DASHBOARD_URL"}
        environment = {name: value for name, value in os.environ.items() if name not in ours}
        return subprocess.Popen(
            [sys.executable, "-m", "alpharay.cli.main", "stack", *arguments],
            cwd=self.folder,
            env={**environment, "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> dict[str, dict[str, Any]]:
        output, errors = (command := self.start(*arguments, "--json")).communicate(timeout=LIMIT_SECONDS)
        assert command.returncode == 0, errors
        return {part["part"]: part for part in json.loads(output)}

    def settings(self) -> Settings:
        return Settings(_env_file=self.state / ENDPOINTS_FILE)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("a project with spaces") / ("long " * 20).strip()
    folder.mkdir()
    made = Project(folder)
    try:
        yield made
    finally:
        stack.down(made.state, lambda *_: None, purge=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_stack_survives_killed_parts_and_a_killed_command(project: Project) -> None:
    # Killed in the middle: whatever is half there is adopted or cleaned by the next one.
    interrupted = project.start("up")
    wait_for_record(project.state / "kafka", interrupted)
    interrupted.send_signal(signal.SIGKILL)
    interrupted.communicate()
    first = project.run("up")
    assert {part["state"] for part in first.values()} == {"up"}
    assert httpx.get(f"{project.settings().require('serve_url')}/-/healthz", trust_env=False).status_code in (200, 503)
    with psycopg.connect(project.settings().require("database_url")) as connection:
        connection.execute("CREATE TABLE kept (value int)")
        connection.execute("INSERT INTO kept VALUES (7)")

    assert pids(project.run("up")) == pids(first)

    for part in ("postgres", "ray"):
        process = running(project.state / part)
        assert process is not None
        process.send_signal(signal.SIGKILL)
        wait_for_end([process], 10.0)
    # Two at once: one waits for the other, and both end with the same stack.
    both = [project.start("up"), project.start("up")]
    for command in both:
        _, errors = command.communicate(timeout=LIMIT_SECONDS)
        assert command.returncode == 0, errors
    again = project.run("status")
    assert {part["state"] for part in again.values()} == {"up"}
    assert again["kafka"]["pid"] == first["kafka"]["pid"]
    assert {name: part["address"] for name, part in again.items()} == {
        name: part["address"] for name, part in first.items()
    }
    with psycopg.connect(project.settings().require("database_url")) as connection:
        assert connection.execute("SELECT value FROM kept").fetchall() == [(7,)]

    family = [
        process
        for part in stack.PARTS
        if (server := running(project.state / part)) is not None
        for process in (server, *server.children(recursive=True))
    ]
    assert len(family) > 10
    project.run("down")
    assert wait_for_end(family, 0.0) == []
    assert [process for part in stack.PARTS for process in leftovers(project.state / part)] == []
    assert not (project.state / ENDPOINTS_FILE).exists()


def wait_for_record(folder: Path, command: subprocess.Popen[str]) -> None:
    process = psutil.Process(command.pid)
    while not folder.exists():
        assert process.is_running(), "the command ended too soon"
        wait_for_end([process], 0.1)


def pids(parts: dict[str, dict[str, Any]]) -> dict[str, int]:
    return {name: part["pid"] for name, part in parts.items()}
