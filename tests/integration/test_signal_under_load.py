"""The signal service in a burst, in a rolling update and in a scale-down: nobody is cut off, nobody waits for ever."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
import pytest
from candle_stream import wait_until

from alpharay.load.open_load import Outcome, run_load
from alpharay.load.ramp import Ramp
from alpharay.store.migrate import migrate
from benchmarks.signal_data import store_market
from cluster.local.port import free_port
from serve_apps.edges.waiting_room import MOST_WAITING

pytestmark = pytest.mark.timeout(400)

USUAL_RATE = 20.0
MOST_IN_FLIGHT = 2000
MORE_THAN_MAY_WAIT = 2 * MOST_WAITING


@dataclass
class Service:
    """The deployed application; `deploy` gives it another number of replicas or another version."""

    url: str
    body: bytes
    deploy: Callable[[int, str], None]

    def processes(self) -> set[int]:
        """Return the processes that answer; each of a few dozen questions goes to any of them."""
        with httpx.Client(base_url=self.url, trust_env=False, timeout=20.0) as client:
            return {client.get("/status").json()["process_id"] for _ in range(40)}

    def client(self) -> httpx.AsyncClient:
        """Return a client of as many connections as it takes."""
        limits = httpx.Limits(max_connections=MOST_IN_FLIGHT, max_keepalive_connections=MOST_IN_FLIGHT)
        return httpx.AsyncClient(trust_env=False, timeout=60.0, limits=limits)

    def request(self, client: httpx.AsyncClient) -> httpx.Request:
        """Return the question for a signal."""
        headers = {"content-type": "application/json"}
        return client.build_request("POST", f"{self.url}/generate_signal", headers=headers, content=self.body)

    async def load(self, *ramps: Ramp) -> list[Outcome]:
        """Send what the ramps say, one after the other."""
        async with self.client() as client:
            request = self.request(client)
            found: list[Outcome] = []
            pending = []
            for ramp in ramps:
                pending.append(asyncio.create_task(run_load(client, request, ramp, most_in_flight=MOST_IN_FLIGHT)))
                await asyncio.sleep(ramp.seconds)
            for task in pending:
                found += await task
            return found

    async def more_than_may_wait(self) -> tuple[httpx.Response, list[httpx.Response]]:
        """Send them while no replica runs; return the answer that came meanwhile, and those that came when all ran."""
        async with self.client() as client:
            with stopped(self.processes()):
                pending = [asyncio.create_task(client.send(self.request(client))) for _ in range(MORE_THAN_MAY_WAIT)]
                done, _ = await asyncio.wait(pending, timeout=8.0, return_when=asyncio.FIRST_COMPLETED)
            assert done, "everyone waits for replicas that do not run"
            first = done.pop().result()
            return first, await asyncio.gather(*pending)


@contextmanager
def stopped(processes: set[int]) -> Iterator[None]:
    """Keep the processes from running."""
    try:
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


@dataclass
class Steady:
    """A load that goes on until it is stopped."""

    outcomes: list[Outcome] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)


@contextmanager
def steady_load(service: Service) -> Iterator[list[Outcome]]:
    """Ask at the usual rate while the block runs, and a second longer."""
    load = Steady()

    def run() -> None:
        while not load.stop.is_set():
            load.outcomes += asyncio.run(service.load(Ramp(USUAL_RATE, USUAL_RATE, 1.0)))

    thread = threading.Thread(target=run, name="load", daemon=True)
    thread.start()
    try:
        wait_until(lambda: len(load.outcomes) >= USUAL_RATE, "the load has begun")
        yield load.outcomes
        before = len(load.outcomes)
        wait_until(lambda: len(load.outcomes) > before, "the load goes on")
    finally:
        load.stop.set()
        thread.join(60.0)


def statuses(outcomes: list[Outcome]) -> Counter[tuple[int, bool]]:
    """Return how often each status came, with or without Retry-After."""
    return Counter((outcome.status, outcome.retry_after) for outcome in outcomes)


@pytest.fixture(scope="module")
def service(stack: Any, ray_cluster: str) -> Iterator[Service]:
    from ray import serve

    from serve_apps.signal import SignalServer

    name = f"load_{secrets.token_hex(6)}"
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    database_url = urlunsplit(urlsplit(stack.database_url)._replace(path=f"/{name}"))
    migrate(database_url)
    candles = store_market(database_url, "SOL/USD", bars=500)
    environment = {
        "ALPHARAY_DATABASE_URL": database_url,
        "ALPHARAY_KAFKA_BOOTSTRAP_SERVERS": stack.kafka_bootstrap_servers,
        "ALPHARAY_REDIS_URL": stack.redis_url,
        "ALPHARAY_RATE_LIMIT_PER_MINUTE": "0",
    }
    port = free_port()

    def deploy(replicas: int, version: str) -> None:
        variables = {**environment, "VERSION_UNDER_TEST": version}
        deployment = SignalServer.options(
            autoscaling_config=None,
            num_replicas=replicas,
            ray_actor_options={"num_cpus": 0.1, "runtime_env": {"env_vars": variables}},
        )
        serve.run(deployment.bind(), name="signal", route_prefix="/")

    try:
        # The timeout of signal.yaml.
        serve.start(
            proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port, "request_timeout_s": 10}
        )
        deploy(2, "one")
        body = json.dumps({"symbol": "SOL", "price": float(candles.close[-1])}).encode()
        yield Service(f"http://127.0.0.1:{port}", body, deploy)
    finally:
        serve.shutdown()
        with psycopg.connect(stack.database_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.slow
def test_in_a_burst_of_ten_times_the_load_everyone_is_answered_or_told_when_to_come_again(service: Service) -> None:
    usual = Ramp(USUAL_RATE, USUAL_RATE, 2.0)
    burst = Ramp(10 * USUAL_RATE, 10 * USUAL_RATE, 4.0)
    outcomes = asyncio.run(service.load(usual, burst, usual))
    assert set(statuses(outcomes)) <= {(200, False), (503, True)}, statuses(outcomes)
    assert len(outcomes) == usual.requests * 2 + burst.requests


@pytest.mark.slow
def test_who_finds_the_waiting_room_full_learns_at_once_when_to_come_again(service: Service) -> None:
    first, answers = asyncio.run(service.more_than_may_wait())
    assert (first.status_code, first.headers["retry-after"]) == (503, "1")
    assert {answer.status_code for answer in answers} == {200, 503}
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 503)
    assert set(statuses(asyncio.run(service.load(Ramp(5.0, 5.0, 1.0))))) == {(200, False)}


@pytest.mark.slow
def test_no_request_fails_in_a_rolling_update_nor_in_a_scale_down(service: Service) -> None:
    before = service.processes()
    with steady_load(service) as outcomes:
        service.deploy(2, "two")
        wait_until(lambda: not service.processes() & before, "only the new version answers")
    assert set(statuses(outcomes)) == {(200, False)}, statuses(outcomes)

    with steady_load(service) as outcomes:
        service.deploy(1, "two")
        wait_until(lambda: len(service.processes()) == 1, "one replica answers")
    assert set(statuses(outcomes)) == {(200, False)}, statuses(outcomes)
