from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from cluster.local.process import (
    LOG_LIMIT_BYTES,
    MARK,
    RECORD,
    PartFailedError,
    child_environment,
    complete,
    end,
    launch,
    leftovers,
    log_file,
    log_tail,
    memory_bytes,
    running,
    wait_for_end,
)

SLEEP = ["sleep", "60"]
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""
PARENT = """
import subprocess, time
subprocess.Popen(["sleep", "60"], {options})
print("ready", flush=True)
time.sleep(60)
"""
FAR = PARENT.format(options="start_new_session=True")
BARE = PARENT.format(options="env={}")


@pytest.fixture
def part(tmp_path: Path):
    folder = tmp_path / "a part"
    folder.mkdir()
    yield folder
    end(folder, patience_seconds=0.0)


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_launched_process_is_found_and_leads_its_own_session(part):
    launch(part, SLEEP)
    process = running(part)
    assert process is not None
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    assert process.cwd() == str(part)
    assert memory_bytes(process) > 0


def test_ended_process_is_not_found(part):
    launch(part, SLEEP)
    process = running(part)
    end(part)
    assert running(part) is None
    assert not wait_for_end([process], 0.0)
    assert not (part / RECORD).exists()


def test_recycled_process_id_is_neither_found_nor_killed(part):
    with subprocess.Popen(SLEEP) as other:
        record = {"pid": other.pid, "started": "another boot/123", "folder": str(part)}
        (part / RECORD).write_text(json.dumps(record))
        assert running(part) is None
        end(part)
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("text", ["", "{", "{}", '{"pid": "x", "started": "", "folder": ""}'])
def test_damaged_record_counts_as_none(part, text):
    (part / RECORD).write_text(text)
    assert running(part) is None


def test_process_that_ignores_sigterm_is_killed(part):
    launch(
        part,
        python(DEAF),
    )
    wait_for(lambda: "ready" in log_tail(part))
    process = running(part)
    end(part, patience_seconds=0.1)
    assert not wait_for_end([process], 0.0)


def test_grandchild_in_another_session_ends_with_the_server(part):
    launch(
        part,
        python(FAR),
    )
    wait_for(lambda: "ready" in log_tail(part))
    family = running(part).children(recursive=True)
    assert family
    end(part)
    assert not wait_for_end(family, 0.0)


def test_orphan_of_a_killed_server_is_a_leftover_even_without_its_mark(part):
    launch(
        part,
        python(BARE),
    )
    wait_for(lambda: "ready" in log_tail(part))
    server = running(part)
    orphans = server.children(recursive=True)
    server.send_signal(signal.SIGKILL)
    wait_for_end([server], 5.0)
    assert [process.pid for process in leftovers(part)] == [process.pid for process in orphans]
    end(part)
    assert not wait_for_end(orphans, 0.0)


def test_marked_process_without_a_record_is_a_leftover(part):
    with subprocess.Popen(SLEEP, env={**os.environ, MARK: str(part)}) as lost:
        wait_for(lambda: bool(leftovers(part)))
        assert [process.pid for process in leftovers(part)] == [lost.pid]
        end(part)
        assert lost.wait(timeout=5) == -signal.SIGTERM


def test_neighbouring_part_is_no_leftover(part, tmp_path):
    neighbour = tmp_path / "another part"
    neighbour.mkdir()
    launch(neighbour, SLEEP)
    try:
        assert leftovers(part) == []
    finally:
        end(neighbour)


def test_launch_of_a_missing_program_names_it(part):
    with pytest.raises(PartFailedError, match="no-such-program"):
        launch(part, ["no-such-program"])


def test_launch_keeps_output_in_a_bounded_log(part):
    log_file(part).write_bytes(b"x" * (LOG_LIMIT_BYTES + 1))
    launch(part, python("print('fresh', flush=True)"))
    wait_for(lambda: log_tail(part) == "fresh")
    assert log_file(part).with_suffix(".log.1").stat().st_size == LOG_LIMIT_BYTES + 1


def test_complete_tells_the_output_of_a_failure(part):
    with pytest.raises(PartFailedError, match="no room"):
        complete(part, python("import sys; sys.exit('no room')"))


def test_complete_ends_a_command_that_takes_too_long(part):
    with pytest.raises(PartFailedError, match="longer than"):
        complete(part, SLEEP, seconds=0.2)


def test_child_environment_has_no_proxy(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "example")
    environment = child_environment({"ADDED": "1"})
    assert environment["ADDED"] == "1"
    assert not {"HTTPS_PROXY", "no_proxy"} & set(environment)


def test_log_tail_without_a_log_is_empty(part):
    assert log_tail(part) == ""


def test_wait_for_end_of_nothing_returns_at_once():
    assert wait_for_end([], 60.0) == []
    assert psutil.pid_exists(os.getpid())
