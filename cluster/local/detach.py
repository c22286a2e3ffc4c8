"""Run one command detached from the terminal: `python detach.py RECORD LOG USER GROUP FOLDER COMMAND...`.

A script of the standard library alone, because it forks: the process that calls it may have threads. The
record is written by the process that becomes the server, before it becomes it, so that a stack command killed
at any moment leaves no server without a record.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

KEEP_USER = -1


def start_mark(pid: int) -> str | None:
    """Return what tells this process from a later one with the same id; None when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return None
        return _start_mark_without_proc(pid)
    ticks_after_boot = stat.rpartition(")")[2].split()[19]
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{ticks_after_boot}"


def _start_mark_without_proc(pid: int) -> str | None:
    answer = subprocess.run(
        ["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False, timeout=10
    )
    return answer.stdout.strip() or None


def _become(record: Path, log: Path, user: int, group: int, folder: str, command: list[str]) -> None:
    os.setsid()
    os.umask(0o077)
    draft = record.with_suffix(".draft")
    identity = {"pid": os.getpid(), "started": start_mark(os.getpid()), "folder": os.path.realpath(folder)}
    draft.write_text(json.dumps(identity))
    draft.replace(record)
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if user != KEEP_USER:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    os.chdir(folder)
    os.execvpe(command[0], command, os.environ)


def main(arguments: list[str]) -> int:
    """Start the command and return 0 once it runs; 1, with the reason on the error stream, when it cannot."""
    record, log, user, group, folder, *command = arguments
    reader, writer = os.pipe()  # closed by a successful exec, written to by a failed one
    if os.fork() == 0:
        os.close(reader)
        try:
            _become(Path(record), Path(log), int(user), int(group), folder, command)
        except BaseException as error:  # noqa: BLE001 - a forked child may only report and leave
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        os._exit(1)
    os.close(writer)
    with os.fdopen(reader) as failure:
        reason = failure.read()
    if reason:
        sys.stderr.write(reason)
    return 1 if reason else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
