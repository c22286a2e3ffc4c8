"""A look at this machine before anything is started: what would not work here, and what to do about it."""

from __future__ import annotations

import os
import platform
import pwd
import resource
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from cluster.local.endpoints import ignored_variables
from cluster.local.port import LOOPBACK
from cluster.local.postgres_home import UNPRIVILEGED_ACCOUNT
from cluster.local.process import PROXY_VARIABLES

GIBIBYTE = 1024**3
PLATFORMS = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")}
OLDEST_PYTHON = (3, 11)
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - looked at, never written to
LEAST_OPEN_FILES = 4096
Verdict = Literal["fine", "warning", "blocking"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes
    ----------
    name : str
        What was looked at.
    verdict : Verdict
        `blocking` when the stack cannot run, `warning` when it runs less well.
    detail : str
        What was found.
    fix : str
        What to type or change; empty when the verdict is `fine`.

    """

    name: str
    verdict: Verdict
    detail: str
    fix: str = ""


def examine(state: Path) -> list[Finding]:
    """Return a finding for each thing that the stack in the folder `state` depends on; changes nothing."""
    looks: tuple[Callable[[], Finding], ...] = (
        _platform,
        _python,
        _memory,
        lambda: _disk(state),
        _shared_memory,
        _loopback,
        _proxy,
        _open_files,
        lambda: _account(state),
        _variables,
    )
    return [look() for look in looks]


def _platform() -> Finding:
    system, machine = platform.system(), platform.machine()
    detail = f"{system} {machine}"
    if (system, machine) not in PLATFORMS:
        return Finding(
            "platform", "blocking", detail, "use Linux on x86-64 or ARM, or macOS on ARM: Ray has no other packages"
        )
    if system == "Linux" and platform.libc_ver()[0] != "glibc":
        return Finding(
            "platform", "blocking", f"{detail} without glibc", "use a Debian, Ubuntu or Fedora image: not Alpine"
        )
    return Finding("platform", "fine", detail)


def _python() -> Finding:
    detail = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        return Finding("Python", "blocking", detail, "install Python 3.11 or newer, then run `make demo` again")
    return Finding("Python", "fine", detail)


def _memory() -> Finding:
    available = available_memory_bytes()
    detail = f"{available / GIBIBYTE:.1f} GiB available"
    fix = "close other programs, or give the container or virtual machine 6 GiB"
    if available < 2 * GIBIBYTE:
        return Finding("memory", "blocking", detail, fix)
    return Finding("memory", "warning", detail, fix) if available < 4 * GIBIBYTE else Finding("memory", "fine", detail)


def available_memory_bytes() -> int:
    """Return the memory that new processes can have, in bytes: the machine's or, if less, the container's."""
    available = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (group / "memory.max").read_text().strip(), (group / "memory.current").read_text()
    except OSError:
        return available
    return available if limit == "max" else min(available, int(limit) - int(used))


def _disk(state: Path) -> Finding:
    folder = state if state.exists() else state.parent
    free = shutil.disk_usage(folder).free
    detail = f"{free / GIBIBYTE:.1f} GiB free in {folder}"
    fix = "free 3 GiB, or work in a folder on a larger disk"
    if free < GIBIBYTE:
        return Finding("disk", "blocking", detail, fix)
    return Finding("disk", "warning", detail, fix) if free < 3 * GIBIBYTE else Finding("disk", "fine", detail)


def _shared_memory() -> Finding:
    if not SHARED_MEMORY.is_dir():
        return Finding("shared memory", "fine", "a file is used on this platform")
    free = shutil.disk_usage(SHARED_MEMORY).free
    detail = f"{free / 1024**2:.0f} MiB free in {SHARED_MEMORY}"
    if free < 256 * 1024**2:
        return Finding("shared memory", "warning", detail, "start the container with `--shm-size=1g`: Ray is slower so")
    return Finding("shared memory", "fine", detail)


def _loopback() -> Finding:
    try:
        with socket.socket() as listener:
            listener.bind((LOOPBACK, 0))
            listener.listen()
            with socket.create_connection(listener.getsockname(), timeout=1.0):
                return Finding("loopback", "fine", f"{LOOPBACK} takes connections on free ports")
    except OSError as error:
        return Finding(
            "loopback", "blocking", f"{LOOPBACK}: {error}", "bring the loopback interface up: `ip link set lo up`"
        )


def _proxy() -> Finding:
    found = sorted(name for name in os.environ if name.lower() in PROXY_VARIABLES and name.lower() != "no_proxy")
    exempt = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
    if found and LOOPBACK not in exempt:
        return Finding(
            "proxy",
            "warning",
            f"{', '.join(found)} set; the stack's own processes ignore it, your curl and browser may not",
            f"export no_proxy={LOOPBACK},localhost",
        )
    return Finding("proxy", "fine", f"{LOOPBACK} is exempt" if found else "none set")


def _open_files() -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    detail = "no limit" if hard == resource.RLIM_INFINITY else f"at most {hard}"
    if hard != resource.RLIM_INFINITY and hard < LEAST_OPEN_FILES:
        return Finding(
            "open files", "warning", detail, f"raise the hard limit of this session to {LEAST_OPEN_FILES} or more"
        )
    return Finding("open files", "fine", detail)


def _account(state: Path) -> Finding:
    folder = state if state.exists() else state.parent
    if not os.access(folder, os.W_OK):
        return Finding("account", "blocking", f"may not write {folder}", "work as its owner, or in another folder")
    if os.geteuid() != 0:
        return _ordinary_account()
    try:
        pwd.getpwnam(UNPRIVILEGED_ACCOUNT)
    except KeyError:
        return Finding(
            "account",
            "blocking",
            f"root, and no account {UNPRIVILEGED_ACCOUNT} that PostgreSQL could run as",
            "work as an ordinary user",
        )
    return Finding("account", "fine", f"root; PostgreSQL runs as {UNPRIVILEGED_ACCOUNT}")


def _ordinary_account() -> Finding:
    try:
        return Finding("account", "fine", f"{pwd.getpwuid(os.geteuid()).pw_name}, an ordinary user")
    except KeyError:
        return Finding(
            "account",
            "blocking",
            f"user id {os.geteuid()} has no name, which PostgreSQL needs",
            "work as a user that /etc/passwd lists, or give this one a line there",
        )


def _variables() -> Finding:
    ignored = ignored_variables()
    if ignored:
        return Finding(
            "variables",
            "warning",
            f"{', '.join(ignored)} set and ignored: another project's services are never touched",
            "to use that service, name it in ALPHARAY_" + ignored[0],
        )
    return Finding("variables", "fine", "no other project's services named")
