"""A Ray head for this machine alone: scheduler, dashboard and Jobs API on the loopback address."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import psutil

import cluster
from alpharay.settings import RAY_ON_LOOPBACK, ray_authentication
from cluster.local.port import LOOPBACK, claim_port, remembered_port
from cluster.local.process import PartFailedError, child_environment, end, launch, log_file, running
from cluster.local.ray_token import authorization, known_token
from cluster.local.readiness import wait_until_ready
from cluster.local.service import Report, Service, quiet
from cluster.local.terms import keep_terms, on_same_terms

NAME = "ray"
START_SECONDS = 120.0
DASHBOARD_PORT = "dashboard-port"
TOKEN_VARIABLE = "ALPHARAY_RAY_TOKEN_FILE"  # noqa: S105 - a name, as the settings read it
# Actors and Serve replicas mostly wait: fewer slots than this and the last of them never starts.
LEAST_CPU_SLOTS = 4
LARGEST_OBJECT_STORE_BYTES = 1024**3
PROJECT = Path(cluster.__file__).resolve().parents[1]


def start(
    folder: Path,
    report: Report = quiet,
    *,
    settings: Mapping[str, str],
    working_folder: Path,
    token_file: Path | None = None,
) -> Service:
    """Start the head, or adopt it when it runs with the same settings; return once it takes jobs.

    Parameters
    ----------
    folder : Path
        The part's folder.
    report : Report
        Told what is being done.
    settings : Mapping[str, str]
        The ALPHARAY_ variables that every worker, actor and job sees.
    working_folder : Path
        Where jobs run that bring no folder of their own.
    token_file : Path | None
        What it asks every client for, `claim_token` of this folder; None lets everyone in who reaches it.

    """
    folder.mkdir(parents=True, exist_ok=True)
    if token_file is not None:
        settings = {**settings, TOKEN_VARIABLE: str(token_file)}
    serving = probe(folder)
    if serving is not None:
        if on_same_terms(folder, settings):
            return serving
        report("ending: the addresses of its services have changed")
    stop(folder)
    keep_terms(folder, settings)
    session_folder = _claim_session_folder(folder)
    _forget_old_sessions(session_folder)
    interpreter = _interpreter(folder)
    port = claim_port(folder)
    own = {"ALPHARAY_RAY_ADDRESS": f"{LOOPBACK}:{port}", "ALPHARAY_RAY_DASHBOARD_URL": _dashboard_url(folder)}
    report("starting")
    launch(
        folder,
        [
            *(str(interpreter), "-m", "ray.scripts.scripts"),
            "start",
            "--head",
            "--block",
            "--disable-usage-stats",
            "--log-color=false",
            f"--node-ip-address={LOOPBACK}",
            f"--port={port}",
            f"--dashboard-host={LOOPBACK}",
            f"--dashboard-port={remembered_port(folder, DASHBOARD_PORT)}",
            f"--dashboard-agent-listen-port={claim_port(folder, 'agent-port')}",
            f"--ray-client-server-port={claim_port(folder, 'client-port')}",
            # Workers take any free port rather than one of a fixed range that another cluster may use.
            "--min-worker-port=0",
            "--max-worker-port=0",
            f"--num-cpus={max(LEAST_CPU_SLOTS, os.cpu_count() or 1)}",
            f"--object-store-memory={_object_store_bytes()}",
            f"--temp-dir={session_folder}",
        ],
        environment=_environment(interpreter, {**settings, **own, **ray_authentication(token_file)}),
        working_folder=working_folder,
    )
    return wait_until_ready(folder, probe, seconds=START_SECONDS)


def stop(folder: Path) -> None:
    """End the head and every worker, actor and job on it.

    Not gracefully: asked to end, a head drains for half a minute, and nothing that must last lives in Ray.
    """
    end(folder, patience_seconds=0.0)


def probe(folder: Path) -> Service | None:
    """Return the head when its dashboard answers and its node is alive; None otherwise."""
    process, port = running(folder), remembered_port(folder)
    if process is None or port is None:
        return None
    try:
        with httpx.Client(
            base_url=dashboard_url(folder), headers=authorization(known_token(folder)), trust_env=False, timeout=5.0
        ) as client:
            version = client.get("/api/version").raise_for_status().json()["ray_version"]
            nodes = client.get("/nodes", params={"view": "summary"}).raise_for_status().json()
            states = [node["raylet"].get("state") for node in nodes["data"]["summary"]]
    except (httpx.HTTPError, KeyError, OSError, ValueError):
        return None
    if "ALIVE" not in states:
        return None
    address = f"{LOOPBACK}:{port}"
    return Service(
        name=NAME,
        version=version,
        address=dashboard_url(folder),
        url=address,
        pid=process.pid,
        log=log_file(folder),
        note=f"ray.init address {address}; session logs in {_session_folder(folder)}/session_latest/logs",
    )


def purge(folder: Path) -> None:
    """Delete the sessions' logs and the part's folder; the head must have been stopped."""
    shutil.rmtree(_short_folder(folder), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def dashboard_url(folder: Path) -> str:
    """Return the address of the dashboard and the Jobs API."""
    return f"http://{LOOPBACK}:{remembered_port(folder, DASHBOARD_PORT)}"


def _environment(interpreter: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the head and of all that it starts."""
    environment = child_environment(
        {
            **RAY_ON_LOOPBACK,
            "RAY_USAGE_STATS_ENABLED": "0",
            # Serve kills a proxy that is not ready after 5 s, which a busy machine needs to import it.
            "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
            # What may wait at the proxy is bounded.
            "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve_apps.edges.waiting_room.middlewares",
            # `uv run alpharay ...` must not make Ray build an environment for each worker.
            "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
            "PYTHONPATH": str(PROJECT),
            # A job's entry point is `python -m ray_jobs.NAME`: this Python, whatever else is installed.
            "PATH": os.pathsep.join((str(interpreter.parent), os.environ.get("PATH", os.defpath))),
            **extra,
        }
    )
    environment.pop("RAY_ADDRESS", None)
    return environment


def _dashboard_url(folder: Path) -> str:
    claim_port(folder, DASHBOARD_PORT)
    return dashboard_url(folder)


def _short_folder(folder: Path) -> Path:
    # Ray puts sockets into its folder, whose paths are limited to 107 bytes (104 on macOS).
    return Path("/tmp") / f"alpharay-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"  # noqa: S108


def _session_folder(folder: Path) -> Path:
    # Ray opens its folder to every user; the one around it is closed.
    return _short_folder(folder) / "ray"


def _claim_session_folder(folder: Path) -> Path:
    closed = _short_folder(folder)
    closed.mkdir(mode=0o700, exist_ok=True)
    found = closed.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PartFailedError(f"{closed} belongs to user {found.st_uid}: remove it, then try again")
    closed.chmod(0o700)
    return _session_folder(folder)


def _interpreter(folder: Path) -> Path:
    """Return a path of this Python that a shell takes as it is.

    Ray hands the path to a shell without quoting it: in a project folder with a space in its name no worker
    would start. There the environment is reached through a link.
    """
    own = Path(sys.executable)
    if shlex.quote(str(own)) == str(own):
        return own
    link = _short_folder(folder) / "environment"
    link.unlink(missing_ok=True)
    link.symlink_to(sys.prefix, target_is_directory=True)
    return link / own.relative_to(sys.prefix)


def _forget_old_sessions(session_folder: Path) -> None:
    """Delete the logs of all sessions but the last."""
    for old in sorted(session_folder.glob("session_2*"))[:-1]:
        shutil.rmtree(old, ignore_errors=True)


def _object_store_bytes() -> int:
    """Return a tenth of the memory, at most LARGEST_OBJECT_STORE_BYTES and half of the shared memory."""
    limits = [LARGEST_OBJECT_STORE_BYTES, psutil.virtual_memory().total // 10]
    shared_memory = Path("/dev/shm")  # noqa: S108 - looked at, never written to
    if shared_memory.is_dir():
        # Ray refuses less than 75 MB; with so little shared memory it uses a file instead.
        limits.append(max(shutil.disk_usage(shared_memory).free // 2, 100 * 1024**2))
    return min(limits)
