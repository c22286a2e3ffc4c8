"""Server processes: started detached, found again by a later command, ended for certain.

The record of a process (`process.json` in its part's folder) holds its id and its start mark, so that a
recycled process id is never mistaken for the server, and never killed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from cluster.local.detach import KEEP_USER, start_mark

RECORD = "process.json"
LOG = "server.log"
# Every process of a stack carries its part's folder in its environment: one whose record was lost is found.
MARK = "ALPHARAY_STACK_PART"
LOG_LIMIT_BYTES = 16 * 1024 * 1024
PROXY_VARIABLES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")


# What Linux appends to the name of a folder that has been deleted under a process.
_DELETED = " (deleted)"

OwnProcess = Callable[[psutil.Process], bool]
"""Tells whether a process belongs to a part, by what it runs and where."""


class PartFailedError(RuntimeError):
    """A part of the local stack did not start or did not end; the message says what to do."""


@dataclass(frozen=True)
class Account:
    """The operating-system user that a server runs as."""

    user: int
    group: int


@dataclass(frozen=True)
class _Identity:
    pid: int
    started: str
    working_folder: str


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a child on this machine: no proxy between its loopback sockets.

    Python children may keep their byte code: a Ray head is some twenty processes with the same imports.
    """
    unwanted = {*PROXY_VARIABLES, "pythondontwritebytecode"}
    kept = {name: value for name, value in os.environ.items() if name.lower() not in unwanted}
    return {**kept, **(extra or {})}


def launch(
    folder: Path,
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    account: Account | None = None,
    working_folder: Path | None = None,
) -> None:
    """Start `command` in its own session; its output goes to the part's log."""
    log = log_file(folder)
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))
    who = account or Account(KEEP_USER, KEEP_USER)
    answer = subprocess.run(
        [
            sys.executable,
            "-I",
            str(Path(__file__).with_name("detach.py")),
            str(folder / RECORD),
            str(log),
            str(who.user),
            str(who.group),
            str(working_folder or folder),
            *command,
        ],
        env={**(environment or child_environment()), MARK: str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=30,
    )
    if answer.returncode != 0:
        raise PartFailedError(f"{command[0]} could not be started: {answer.stderr.strip()}")


def complete(
    folder: Path,
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    account: Account | None = None,
    working_folder: Path | None = None,
    seconds: float = 120.0,
) -> None:
    """Run `command` to its end, marked as the part's: the next command ends it when this one is killed.

    Raises PartFailedError with its output when it fails or takes longer than `seconds`.
    """
    try:
        answer = subprocess.run(
            command,
            env={**(environment or child_environment()), MARK: str(folder)},
            cwd=working_folder or folder,
            user=None if account is None else account.user,
            group=None if account is None else account.group,
            extra_groups=None if account is None else [],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise PartFailedError(f"{command[0]} took longer than {seconds:.0f} s") from error
    if answer.returncode != 0:
        raise PartFailedError(f"{command[0]} failed:\n{answer.stdout.strip()}")


def log_file(folder: Path) -> Path:
    """Return the file that holds the server's output."""
    return folder / LOG


def log_tail(folder: Path, lines: int = 12) -> str:
    """Return the last lines of the part's log; empty when there is none."""
    log = log_file(folder)
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 64 * 1024))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def running(folder: Path) -> psutil.Process | None:
    """Return the part's server process; None when it never ran, has ended, or its id is another's now."""
    identity = _identity(folder)
    if identity is None or start_mark(identity.pid) != identity.started:
        return None
    try:
        process = psutil.Process(identity.pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None


def runs_in(name: str, folder: Path) -> OwnProcess:
    """Return the test whether a process is the program `name` at work in `folder`, even a deleted one."""

    def is_own(process: psutil.Process) -> bool:
        return process.name() == name and process.cwd().removesuffix(_DELETED) == str(folder)

    return is_own


def memory_bytes(process: psutil.Process) -> int:
    """Return the memory of a server and its descendants in bytes, without the pages that they share."""
    total = 0
    for member in _family_tree(process):
        try:
            used = member.memory_info()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        total += used.rss - getattr(used, "shared", 0)
    return total


def _family_tree(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def leftovers(folder: Path, *, is_own: OwnProcess | None = None) -> list[psutil.Process]:
    """Return the processes of a part that its record does not lead to.

    They carry the part's mark in their environment, or are left in the session of a server that has ended,
    or `is_own` knows them: a process that sets its title may overwrite its environment.
    """
    session = _orphaned_session(folder)
    found = []
    for process in psutil.process_iter():
        try:
            own = process.environ().get(MARK) == str(folder) or (is_own is not None and is_own(process))
            if (own or _belongs(process, session)) and process.pid != os.getpid():
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return [process for process in found if _alive(process)]


def _orphaned_session(folder: Path) -> _Identity | None:
    """Return the part's identity unless its process id is another's by now; the session has the same id."""
    identity = _identity(folder)
    if identity is None or start_mark(identity.pid) not in (None, identity.started):
        return None
    return identity


def _belongs(process: psutil.Process, session: _Identity | None) -> bool:
    return (
        session is not None
        and os.getsid(process.pid) == session.pid
        # The id is free for others once the whole session has ended: where it works must fit as well.
        and process.cwd().removesuffix(_DELETED) == session.working_folder
    )


def end(
    folder: Path,
    *,
    ask: signal.Signals = signal.SIGTERM,
    patience_seconds: float = 30.0,
    is_own: OwnProcess | None = None,
) -> None:
    """End the part's server, its descendants and its leftovers: ask first, then kill.

    Raises PartFailedError when a process survives even SIGKILL.
    """
    server = running(folder)
    family = [] if server is None else _family(server)
    if server is not None:
        _signal(server, ask)
        wait_for_end([server], patience_seconds)
        # A server that ends well ends its children, some a moment later.
        wait_for_end(family, min(2.0, patience_seconds))
    rest = [process for process in {*family, *leftovers(folder, is_own=is_own)} if _alive(process)]
    _kill(rest)
    survivors = wait_for_end(rest, 5.0)
    if survivors:
        ids = [process.pid for process in survivors]
        raise PartFailedError(f"processes {ids} of {folder.name} did not end; end them with `kill -9`")
    (folder / RECORD).unlink(missing_ok=True)


def wait_for_end(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until the processes have ended, at most `seconds`, and return those that have not.

    A zombie has ended: who is to collect it is not ours to wait for.
    """
    deadline = time.monotonic() + seconds
    rest = [process for process in processes if _alive(process)]
    while rest and time.monotonic() < deadline:
        time.sleep(0.02)
        rest = [process for process in rest if _alive(process)]
    return rest


def _kill(processes: Iterable[psutil.Process]) -> None:
    asked = list(processes)
    for process in asked:
        _signal(process, signal.SIGTERM)
    for process in wait_for_end(asked, 3.0):
        _signal(process, signal.SIGKILL)


def _family(server: psutil.Process) -> list[psutil.Process]:
    """Return the server's descendants and all of its session (a child whose own parent has died)."""
    found = set()
    try:
        found.update(server.children(recursive=True))
        session = os.getsid(server.pid)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return list(found)
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session:
                found.add(process)
        except (ProcessLookupError, PermissionError):
            continue
    return list(found)


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _identity(folder: Path) -> _Identity | None:
    try:
        record = json.loads((folder / RECORD).read_text())
        return _Identity(pid=int(record["pid"]), started=str(record["started"]), working_folder=str(record["folder"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
