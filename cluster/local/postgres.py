"""PostgreSQL 18 from the programs of a Python package: initialised once, loopback only, with a password."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg

from cluster.local.password import password
from cluster.local.port import LOOPBACK, claim_port, remembered_port
from cluster.local.postgres_home import (
    UNPRIVILEGED_ACCOUNT,
    claim_home,
    programs,
    remembered_home,
    server_account,
)
from cluster.local.process import (
    Account,
    child_environment,
    complete,
    end,
    launch,
    log_file,
    running,
    runs_in,
)
from cluster.local.readiness import wait_until_ready
from cluster.local.service import Report, Service, quiet

NAME = "postgres"
ROLE = "alpharay"
DATABASE = "alpharay"
START_SECONDS = 60.0


def start(folder: Path, report: Report = quiet) -> Service:
    """Start the server whose part folder is `folder`, or adopt it when it runs; return once it answers."""
    folder.mkdir(parents=True, exist_ok=True)
    serving = probe(folder)
    if serving is not None:
        return serving
    account = server_account(folder)
    home = claim_home(folder, account)
    data = home / "data"
    _end_all(folder, home)
    programs_folder = programs(home, account)
    if not (data / "PG_VERSION").exists():
        report("creating the database cluster")
        _initialise(folder, home, programs_folder, account)
    # Every process of this folder has ended: a lock file that is still here is a crash's, and the id in it
    # may by now be another's.
    (data / "postmaster.pid").unlink(missing_ok=True)
    port = claim_port(folder)
    report("starting")
    launch(
        folder,
        [str(programs_folder / "postgres"), "-D", str(data), *_options(port)],
        environment=_environment(),
        account=account,
        working_folder=data,
    )
    service = wait_until_ready(folder, probe, seconds=START_SECONDS)
    _create_database(folder, port)
    return service


def stop(folder: Path) -> None:
    """End the server and every process of it; open transactions are rolled back."""
    _end_all(folder, remembered_home(folder))


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
    home = remembered_home(folder)
    return Service(
        name=NAME,
        version=str(row[0]) if row else "",
        address=f"{LOOPBACK}:{port}/{DATABASE}",
        url=_url(folder, port, DATABASE),
        pid=process.pid,
        log=log_file(folder),
        note="" if home.is_relative_to(folder) else f"data in {home}: {UNPRIVILEGED_ACCOUNT} cannot enter {folder}",
    )


def purge(folder: Path) -> None:
    """Delete the data, wherever it was put; the server must have been stopped."""
    home = remembered_home(folder)
    shutil.rmtree(home, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def _environment() -> dict[str, str]:
    # A caller's PGDATA, PGPORT, PGOPTIONS ... must not reach our server or its initialisation.
    return {name: value for name, value in child_environment({"LC_ALL": "C"}).items() if not name.startswith("PG")}


def _initialise(folder: Path, home: Path, programs_folder: Path, account: Account | None) -> None:
    """Make the database cluster in a draft folder, renamed when whole: no interruption leaves a half."""
    draft = home / "data.draft"
    shutil.rmtree(draft, ignore_errors=True)
    secret = home / "initdb-password"
    secret.unlink(missing_ok=True)
    with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(password(folder))
    if account is not None:
        os.chown(secret, account.user, account.group)
    try:
        complete(
            folder,
            [
                str(programs_folder / "initdb"),
                f"--pgdata={draft}",
                f"--username={ROLE}",
                f"--pwfile={secret}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
            ],
            environment=_environment(),
            account=account,
            working_folder=home,
        )
    finally:
        secret.unlink(missing_ok=True)
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


def _create_database(folder: Path, port: int) -> None:
    with _connect(folder, port) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")


def _connect(folder: Path, port: int) -> psycopg.Connection:
    # The database that every cluster has from its beginning.
    return psycopg.connect(_url(folder, port, "postgres"), autocommit=True, connect_timeout=5)


def _url(folder: Path, port: int, database: str) -> str:
    return f"postgresql://{ROLE}:{password(folder)}@{LOOPBACK}:{port}/{database}"


def _end_all(folder: Path, home: Path) -> None:
    # SIGINT is PostgreSQL's fast shutdown: it does not wait for clients to leave.
    end(folder, ask=signal.SIGINT, is_own=runs_in("postgres", home / "data"))
