"""The real servers that integration tests run against: one set per test session, in a folder of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from pydantic import SecretStr

from alpharay.settings import Settings
from cluster.local import kafka, postgres, valkey
from cluster.local.process import running, wait_for_end
from cluster.local.topics import create_topics

# Ray reads these when it is imported.
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_memory_monitor_refresh_ms"] = "0"  # noqa: SIM112 - Ray's spelling
os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
# Ray replaces 127.0.0.1 by the machine's outer address unless it is told that there is only this machine.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
# As on every node of ours: what may wait at Serve's proxy is bounded.
os.environ["RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"] = "serve_apps.edges.waiting_room.middlewares"
os.environ.pop("RAY_ADDRESS", None)

REPOSITORY = Path(__file__).resolve().parents[2]
PARTS: dict[str, ModuleType] = {part.NAME: part for part in (postgres, valkey, kafka)}


@dataclass(frozen=True)
class Stack:
    """PostgreSQL, Kafka and Valkey; a part keeps its address when it is killed and started again."""

    folder: Path
    database_url: str
    kafka_bootstrap_servers: str
    redis_url: str

    def settings(self, database_url: str | None = None) -> Settings:
        """Return the settings that lead to this stack, to another database of it when one is named."""
        return Settings(
            database_url=SecretStr(database_url or self.database_url),
            kafka_bootstrap_servers=self.kafka_bootstrap_servers,
            redis_url=SecretStr(self.redis_url),
        )

    def kill(self, part: str) -> None:
        """SIGKILL the server `postgres`, `kafka` or `valkey`, as a crash would, and wait until it is gone."""
        process = running(self.folder / part)
        assert process is not None, f"{part} was not running"
        process.send_signal(signal.SIGKILL)
        assert not wait_for_end([process], 10.0)

    def start(self, part: str) -> None:
        """Start the server again and return once it answers; nothing happens when it runs."""
        PARTS[part].start(self.folder / part)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Start PostgreSQL, Kafka and Valkey for the session; the topics exist."""
    folder = tmp_path_factory.mktemp("stack")
    try:
        urls = {name: part.start(folder / name).url for name, part in PARTS.items()}
        create_topics(urls["kafka"])
        yield Stack(
            folder=folder,
            database_url=urls["postgres"],
            kafka_bootstrap_servers=urls["kafka"],
            redis_url=urls["valkey"],
        )
    finally:
        for name, part in PARTS.items():
            part.stop(folder / name)
        postgres.purge(folder / postgres.NAME)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def crash(stack: Stack) -> Iterator[Callable[[str], None]]:
    """Return a function that SIGKILLs a part of the stack; every part runs again after the test."""
    yield stack.kill
    for part in PARTS:
        stack.start(part)


@pytest.fixture
def database(stack: Stack) -> Iterator[str]:
    """Return the URL of a new, empty database, dropped after the test."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield urlunsplit(urlsplit(stack.database_url)._replace(path=f"/{name}"))
    stack.start(postgres.NAME)
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[str]:
    """Start Ray on this machine for the session and return its address; workers import this repository."""
    import ray

    # A short folder: Ray's sockets have paths of at most 107 bytes.
    folder = tempfile.mkdtemp(prefix="ar-", dir="/tmp")
    os.environ["PYTHONPATH"] = str(REPOSITORY)
    # Serve kills a proxy that is not ready after 5 s, which a busy machine needs to import it.
    os.environ["RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S"] = "60"
    try:
        context = ray.init(
            address="local",
            num_cpus=4,
            object_store_memory=200 * 1024 * 1024,
            include_dashboard=False,
            log_to_driver=False,
            namespace="alpharay",
            labels={"alpharay.dev/group": "of-tests"},
            _temp_dir=folder,
            _node_ip_address="127.0.0.1",
        )
        yield context.address_info["gcs_address"]
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
