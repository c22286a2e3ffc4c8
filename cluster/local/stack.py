"""The local stack: every service that AlphaRay needs, real, on one machine, under one folder."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TextIO

import psutil
from confluent_kafka import KafkaException

from alpharay.settings import RAY_ON_LOOPBACK, Settings, ray_authentication
from cluster.local import exchange, kafka, postgres, ray_head, serve, valkey
from cluster.local.endpoints import DASHBOARD_VARIABLE, VARIABLES, remove_endpoints, write_endpoints
from cluster.local.exchange import Replay
from cluster.local.process import PartFailedError, leftovers, log_file, log_tail, memory_bytes
from cluster.local.ray_token import claim_token
from cluster.local.service import Report, Service
from cluster.local.topics import create_topics

PARTS = (postgres.NAME, valkey.NAME, kafka.NAME, exchange.NAME, ray_head.NAME, serve.NAME)
# Longer than any `up` was seen to take, on a machine that downloads everything and is busy besides.
LOCK_SECONDS = 600.0
State = Literal["working", "up", "external", "down", "failed"]
Progress = Callable[[str, State, str], None]
"""Told the part, its state, and in a few words what is happening."""

_STOPS: Mapping[str, Callable[[Path], None]] = {
    ray_head.NAME: ray_head.stop,
    exchange.NAME: exchange.stop,
    kafka.NAME: kafka.stop,
    valkey.NAME: valkey.stop,
    postgres.NAME: postgres.stop,
}


@dataclass(frozen=True)
class PartStatus:
    """One line of `alpharay stack status`.

    Attributes
    ----------
    part : str
        The part's name.
    state : State
        `up`, `down` or `external`.
    service : Service | None
        What answers; None unless the part is up.
    memory_bytes : int | None
        Memory of its processes; None when it is not up, or counted within another part.

    """

    part: str
    state: State
    service: Service | None = None
    memory_bytes: int | None = None


def up(state: Path, progress: Progress, replay: Replay | None = None) -> dict[str, str]:
    """Start what does not run, adopt what does, clean up what has died; return the endpoints.

    Raises PartFailedError, naming every part that failed, after the others have started.
    """
    _claim_state_folder(state)
    with _lock(state, progress):
        external = {part: os.environ[name] for part, name in external_parts(state).items()}
        for part in external:
            progress(part, "external", f"{VARIABLES[part]} is used as it is")
        starts: dict[str, Callable[[Report], Service]] = {
            postgres.NAME: partial(postgres.start, state / postgres.NAME),
            valkey.NAME: partial(valkey.start, state / valkey.NAME),
            kafka.NAME: partial(kafka.start, state / kafka.NAME),
            exchange.NAME: partial(exchange.start, state / exchange.NAME, replay=replay),
        }
        wanted = {part: start for part, start in starts.items() if part not in external}
        urls = {**external, **_start_together(wanted, progress)}
        _prepare(urls[postgres.NAME], urls[kafka.NAME], progress)
        endpoints = {VARIABLES[part]: urls[part] for part in starts}
        endpoints |= _ray_endpoints(state, endpoints, external, progress)
        write_endpoints(state, endpoints)
    return endpoints


def down(state: Path, progress: Progress, *, purge: bool = False) -> None:
    """End every process of the stack and make sure of it; the data stays unless `purge`.

    Raises PartFailedError when a process cannot be ended.
    """
    if not state.is_dir():
        return
    with _lock(state, progress):
        remove_endpoints(state)
        with ThreadPoolExecutor(len(_STOPS)) as pool:
            tasks = {part: pool.submit(_stop, part, state, progress) for part in _STOPS}
        _raise_failures({part: task.exception() for part, task in tasks.items()})
        survivors = [process.pid for part in _STOPS for process in leftovers(state / part)]
        if survivors:
            raise PartFailedError(f"processes {survivors} still run; end them with `kill -9`")
        if purge:
            postgres.purge(state / postgres.NAME)
            ray_head.purge(state / ray_head.NAME)
            shutil.rmtree(state)


def status(state: Path) -> list[PartStatus]:
    """Return what runs now; nothing is started or changed."""
    external = external_parts(state)
    with ThreadPoolExecutor(len(PARTS)) as pool:
        services = dict(zip(PARTS, pool.map(partial(probe, state), PARTS), strict=True))
    return [PartStatus(part, "external") if part in external else _part_status(part, services[part]) for part in PARTS]


def probe(state: Path, part: str) -> Service | None:
    """Return the part when it runs and answers; None otherwise."""
    if part == serve.NAME:
        head = ray_head.probe(state / ray_head.NAME)
        return None if head is None else serve.probe(state / serve.NAME, ray=head)
    probes: Mapping[str, Callable[[Path], Service | None]] = {
        postgres.NAME: postgres.probe,
        valkey.NAME: valkey.probe,
        kafka.NAME: kafka.probe,
        exchange.NAME: exchange.probe,
        ray_head.NAME: ray_head.probe,
    }
    return probes[part](state / part)


def part_log(state: Path, part: str) -> Path:
    """Return the part's log file; Serve's is Ray's."""
    return log_file(state / (ray_head.NAME if part == serve.NAME else part))


def log_lines(state: Path, part: str, lines: int) -> list[str]:
    """Return the last lines of the part's log."""
    return log_tail(part_log(state, part).parent, lines).splitlines()


def external_parts(state: Path) -> dict[str, str]:
    """Return the parts that the environment names, with the variable.

    A variable that holds this stack's own address (a job inside it sees those) names nothing external.
    """
    named = {part: name for part, name in VARIABLES.items() if os.environ.get(name)}
    own = {part: probe(state, part) for part in named}
    external = {
        part: name for part, name in named.items() if (service := own[part]) is None or service.url != os.environ[name]
    }
    if ray_head.NAME in external:
        # Serve runs inside Ray; without an address of its own it is simply not there.
        external.setdefault(serve.NAME, VARIABLES[serve.NAME])
    return external


def _ray_endpoints(
    state: Path, endpoints: Mapping[str, str], external: Mapping[str, str], progress: Progress
) -> dict[str, str]:
    """Start Ray and Serve, or take those that the environment names, and return their addresses."""
    if ray_head.NAME in external:
        named = (VARIABLES[ray_head.NAME], DASHBOARD_VARIABLE, VARIABLES[serve.NAME], ray_head.TOKEN_VARIABLE)
        return {name: os.environ[name] for name in named if os.environ.get(name)}
    serve_folder = state / serve.NAME
    running = ray_head.probe(state / ray_head.NAME)
    if running is None:
        # What a dead head left behind may still hold Serve's port.
        ray_head.stop(state / ray_head.NAME)
    serve_url = serve.claim_address(serve_folder, ray=running)
    settings = {**endpoints, VARIABLES[serve.NAME]: serve_url}
    # Asked of the environment alone: the endpoints that settings read elsewhere are written after this.
    token_file = claim_token(state / ray_head.NAME) if Settings().ray_authentication == "token" else None
    head = _start_one(
        ray_head.NAME,
        partial(
            ray_head.start,
            state / ray_head.NAME,
            settings=settings,
            working_folder=state.parent,
            token_file=token_file,
        ),
        progress,
    )
    proxy = _start_one(serve.NAME, partial(serve.start, serve_folder, ray=head, token_file=token_file), progress)
    return {
        VARIABLES[ray_head.NAME]: head.url,
        DASHBOARD_VARIABLE: head.address,
        VARIABLES[serve.NAME]: proxy.url,
        **({} if token_file is None else {ray_head.TOKEN_VARIABLE: str(token_file)}),
        **RAY_ON_LOOPBACK,
        **ray_authentication(token_file),
    }


def _start_together(starts: Mapping[str, Callable[[Report], Service]], progress: Progress) -> dict[str, str]:
    with ThreadPoolExecutor(max(1, len(starts))) as pool:
        tasks = {part: pool.submit(_start_one, part, start, progress) for part, start in starts.items()}
    _raise_failures({part: task.exception() for part, task in tasks.items()})
    return {part: task.result().url for part, task in tasks.items()}


def _start_one(part: str, start: Callable[[Report], Service], progress: Progress) -> Service:
    progress(part, "working", "looking")
    try:
        service = start(partial(progress, part, "working"))
    except Exception as error:
        progress(part, "failed", str(error))
        raise
    progress(part, "up", service.address)
    return service


def _prepare(database_url: str, bootstrap_servers: str, progress: Progress) -> None:
    # Imported here: `status`, `logs` and the doctor answer half a second sooner without it.
    from sqlalchemy.exc import SQLAlchemyError

    from alpharay.store.migrate import migrate

    progress("schema", "working", "migrating")
    try:
        revision = migrate(database_url)
    except SQLAlchemyError as error:
        raise PartFailedError(f"schema: {error.__cause__ or error}") from error
    progress("schema", "up", f"revision {revision}")
    progress("topics", "working", "creating")
    try:
        made = create_topics(bootstrap_servers)
    except KafkaException as error:
        raise PartFailedError(f"topics: {error.args[0].str()} ({bootstrap_servers})") from error
    progress("topics", "up", f"{len(made)} made" if made else "all there")


def _stop(part: str, state: Path, progress: Progress) -> None:
    progress(part, "working", "ending")
    _STOPS[part](state / part)
    progress(part, "down", "")


def _raise_failures(outcomes: Mapping[str, BaseException | None]) -> None:
    failures = {part: error for part, error in outcomes.items() if error is not None}
    for error in failures.values():
        if not isinstance(error, PartFailedError):
            raise error
    if failures:
        raise PartFailedError("\n".join(f"{part}: {error}" for part, error in failures.items()))


def _part_status(part: str, service: Service | None) -> PartStatus:
    if service is None:
        return PartStatus(part, "down")
    if part == serve.NAME:
        return PartStatus(part, "up", service)
    return PartStatus(part, "up", service, memory_bytes(psutil.Process(service.pid)))


def _claim_state_folder(state: Path) -> None:
    try:
        state.mkdir(exist_ok=True)
    except OSError as error:
        raise PartFailedError(f"the folder {state} could not be made: {error.strerror}") from error
    if not os.access(state, os.W_OK):
        raise PartFailedError(f"the folder {state} belongs to another user: work as that user, or remove it")


@contextmanager
def _lock(state: Path, progress: Progress) -> Iterator[None]:
    """Let one stack command work at a time; the lock ends with its process, however that ends."""
    with (state / "stack.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("lock", "working", "another `alpharay stack` command is at work; waiting for it")
            _wait_for_lock(file)
            progress("lock", "up", "free")
        yield


def _wait_for_lock(file: TextIO) -> None:
    give_up_at = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up_at:
                raise PartFailedError(
                    f"another `alpharay stack` command has worked for {LOCK_SECONDS:.0f} s: end it, then try again"
                ) from None
            time.sleep(0.2)
        else:
            return
