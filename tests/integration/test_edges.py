"""Two replicas behind their edges: one limit for both, with and without Valkey; keys; what Serve's proxy adds."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
import pytest

from alpharay.store.migrate import migrate
from cluster.local.port import free_port
from serve_apps.edges.api_keys import new_key

WAIT_S = 60.0
LIMIT = 40
ASK = {"symbol": "SOL", "price": 100.0}


@dataclass
class Service:
    """The application with two replicas and the file of its keys."""

    url: str
    keys_file: Path

    @contextmanager
    def add_client(self) -> Iterator[httpx.Client]:
        """Yield a client with a new key, once every replica knows it."""
        key, line = new_key(f"c-{secrets.token_hex(4)}", ["read"])
        with self.keys_file.open("a") as file:
            file.write(line + "\n")
        known: set[int] = set()

        def all_know() -> bool:
            # Each ask meets some replica; a key that is not known yet counts for the address, not for the key.
            answer = client.get("/status")
            if answer.status_code != 200:
                known.clear()
                return False
            known.add(answer.json()["process_id"])
            return len(known) == 2

        with self.client({"X-API-Key": key}) as client:
            wait_for(all_know, "both replicas know the new key")
            yield client

    def client(self, headers: dict[str, str] | None = None) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=20.0)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    give_up_at = time.monotonic() + WAIT_S
    while time.monotonic() < give_up_at:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"not within {WAIT_S:.0f} s: {what}")


@pytest.fixture(scope="module")
def service(stack: Any, ray_cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    from ray import serve

    from serve_apps.signal import SignalServer

    name = f"edges_{secrets.token_hex(6)}"
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    database_url = urlunsplit(urlsplit(stack.database_url)._replace(path=f"/{name}"))
    migrate(database_url)
    keys_file = tmp_path_factory.mktemp("keys") / "keys"
    keys_file.write_text("# none yet\n")
    port = free_port()
    environment = {
        "ALPHARAY_DATABASE_URL": database_url,
        "ALPHARAY_REDIS_URL": stack.redis_url,
        "ALPHARAY_API_KEYS_FILE": str(keys_file),
        "ALPHARAY_RATE_LIMIT_PER_MINUTE": str(LIMIT),
    }
    try:
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
        deployment = SignalServer.options(
            autoscaling_config=None,
            num_replicas=2,
            ray_actor_options={"num_cpus": 0.1, "runtime_env": {"env_vars": environment}},
        )
        serve.run(deployment.bind(), name="signal", route_prefix="/")
        yield Service(f"http://127.0.0.1:{port}", keys_file)
    finally:
        serve.shutdown()
        stack.start("postgres")
        with psycopg.connect(stack.database_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def answers(client: httpx.Client, count: int) -> Counter[int]:
    """Return how often each status came; no candles are stored, so 404 is the answer of the service itself."""
    return Counter(client.post("/generate_signal", json=ASK).status_code for _ in range(count))


def test_two_replicas_share_one_limit_and_a_lost_valkey_is_told_survived_and_found_again(
    service: Service, crash: Callable[[str], None], stack: Any
) -> None:
    with service.add_client() as client:
        first = client.get("/status")
        remaining = int(first.headers["ratelimit-remaining"])
        assert first.json()["edges"]["rate_limit"]["shared_between_replicas"]
        assert answers(client, remaining + 10) == {404: remaining, 429: 10}
        refused = client.post("/generate_signal", json=ASK)
        assert refused.json()["error"]["code"] == "rate_limited"
        assert 0 < int(refused.headers["retry-after"]) <= 60

    with service.add_client() as client:
        crash("valkey")
        # Each replica now counts alone: nobody is locked out, nobody waits long.
        started = time.monotonic()
        assert answers(client, 20) == {404: 20}
        assert time.monotonic() - started < 10.0
        metrics = [client.get("/metrics").text for _ in range(20)]
        assert any("alpharay_edge_rate_limit_degraded 1.0" in text for text in metrics)
        assert any(client.get("/status").json()["edges"]["rate_limit"]["degraded"] for _ in range(6))
        assert client.get("/health").status_code == 200

    stack.start("valkey")
    with service.add_client() as client:

        def shared_by_both() -> bool:
            time.sleep(1.0)  # asking faster would use up this client's own limit before the replicas try Valkey again
            states = {
                told["process_id"]: told["edges"]["rate_limit"]["shared_between_replicas"]
                for told in (client.get("/status").json() for _ in range(3))
                if "edges" in told
            }
            return len(states) == 2 and all(states.values())

        wait_for(shared_by_both, "both replicas share again")
    with service.add_client() as client:
        remaining = int(client.get("/status").headers["ratelimit-remaining"])
        assert answers(client, remaining + 5) == {404: remaining, 429: 5}


def test_keys_decide_through_the_proxy_and_a_withdrawn_one_is_refused(service: Service) -> None:
    with service.client() as stranger:
        for path in ("/health", "/health/live", "/metrics"):
            assert stranger.get(path).status_code == 200
        response = stranger.post("/generate_signal", json=ASK, headers={"X-Request-ID": "mine"})
        assert response.status_code == 401
        assert response.headers.get_list("x-request-id") == ["mine"]
        assert response.headers["x-content-type-options"] == "nosniff"
    with service.add_client() as reader:
        assert reader.post("/generate_signal", json=ASK).status_code == 404
        service.keys_file.write_text("# all withdrawn\n")
        wait_for(lambda: {reader.get("/status").status_code for _ in range(4)} <= {401, 429}, "the key is withdrawn")


def test_a_body_in_parts_without_a_length_is_limited_through_the_proxy(service: Service) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    with service.add_client() as client:
        response = client.post("/generate_signal", content=parts(), headers={"Content-Type": "application/json"})
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "body_too_large"
