"""Measure `/generate_signal` against an application that does nothing, behind the same proxy in the same run.

    python -m benchmarks.serve                     a table
    python -m benchmarks.serve --json              one JSON object
    python -m benchmarks.serve --haproxy           with HAProxy and Serve's throughput mode, as in production
    python -m benchmarks.serve --with-discovery    its p99 while a discovery uses the rest of the machine, too

Bursts of the applications take turns; each figure is the median over the rounds. The signal service has its edges on:
an API key, and a limit that is counted in Valkey and never reached. The one that does nothing takes the request's body,
as every POST endpoint must; against one that leaves the body alone there is a figure of its own, since Serve's default
proxy hands a body over in a call of its own. `*_at_8_clients` are the figures that have an aim: p50 at most 3 times,
p99 at most 4 times, throughput at least half; and beside a discovery p99 at most twice the quiet one's.

HAProxy binds ports of its own on all addresses: where that matters, run it in a network namespace (`unshare -n`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from benchmarks.http_load import Load, post_json
from benchmarks.local_ray import local_serve
from benchmarks.report import Figures, machine, median, report, versions
from benchmarks.signal_data import EXCHANGE, STRATEGIES, store_market, store_market_with_model
from cluster.local import kafka, postgres, valkey
from cluster.local.port import LOOPBACK, free_port
from cluster.local.topics import create_topics

CLIENTS = (1, 8, 32)
AIMED_AT = 8
SYMBOLS = ("SOL/USD", "BTC/USD", "ETH/USD")
WARM_UP_REQUESTS = 300
BURST_REQUESTS = 600
BURST_SECONDS = 3.0
"""A burst ends at either, so that a busy machine only makes the figures coarser, not the run longer."""
DISCOVERY_SECONDS = 300.0
NEVER_REACHED = 10**9

APPLICATIONS = {"noop": "/noop", "noop_without_body": "/noop_without_body", "signal": "/generate_signal"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=5, help="bursts of each application (default: %(default)s)")
    parser.add_argument("--haproxy", action="store_true", help="HAProxy and Serve's throughput mode")
    parser.add_argument("--with-discovery", action="store_true", help="measure beside a discovery, too")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    # A short folder: Ray's sockets have paths of at most 107 bytes.
    temporary = tempfile.TemporaryDirectory(prefix="ar-", dir="/tmp", ignore_cleanup_errors=True)
    with temporary as name, _services(Path(name)) as (close, key):
        folder = Path(name)
        with local_serve(folder, haproxy_environment(folder) if options.haproxy else None) as port:
            deploy()
            benchmark = SignalBenchmark(port, close, key)
            rows = benchmark.measure(options.rounds)
            beside = benchmark.beside_discovery(folder, options.rounds) if options.with_discovery else {}
    aimed = next(row for row in rows if row["clients"] == AIMED_AT)
    figures: Figures = {
        **{f"{what}_at_{AIMED_AT}_clients": aimed[what] for what in ("p50_ratio", "p99_ratio", "throughput_ratio")},
        "p50_ratio": max(row["p50_ratio"] for row in rows),
        "p99_ratio": max(row["p99_ratio"] for row in rows),
        "throughput_ratio": min(row["throughput_ratio"] for row in rows),
        "p50_ratio_without_body": max(row["p50_ratio_without_body"] for row in rows),
        **beside,
        "haproxy": options.haproxy,
        "rounds": options.rounds,
        "strategies_a_market": len(STRATEGIES),
        "load_average_before": round(load_before, 2),
        "versions": versions("ray", "fastapi", "msgspec", "uvicorn"),
        "machine": machine(),
    }
    report("serve", figures, rows, as_json=options.json)


def haproxy_environment(folder: Path) -> dict[str, str]:
    """Return what turns on HAProxy and the throughput mode; its files and ports are this run's own."""
    files = folder / "haproxy"
    files.mkdir()
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(files / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(files / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(files),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(files / "server-state"),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
    }


class SignalBenchmark:
    """The deployed applications, and bursts on them."""

    def __init__(self, port: int, close: float, key: str) -> None:
        self._port = port
        self._headers = {"X-API-Key": key}
        self._body = json.dumps({"symbol": "SOL", "price": close}).encode()

    def burst(self, name: str, clients: int, requests: int) -> Load:
        """Load one of the applications."""
        return post_json(
            LOOPBACK,
            self._port,
            APPLICATIONS[name],
            self._body,
            clients=clients,
            requests=requests,
            seconds=BURST_SECONDS,
            headers=self._headers,
        )

    def measure(self, rounds: int) -> list[dict[str, float]]:
        """Return a row for each number of clients: milliseconds and requests a second of both, and their ratios."""
        for name in APPLICATIONS:
            self.burst(name, 8, WARM_UP_REQUESTS)
        answer = json.loads(self.burst("signal", 1, 1).last_body)
        assert answer["symbol"] == "SOL/USD", answer
        assert len(answer["strategies"]) == len(STRATEGIES), answer
        silent = [one["name"] for one in answer["components"] if "abstains" in one["flags"]]
        assert not silent, f"all components were to speak, not so {silent}"
        return [self._row(clients, rounds) for clients in CLIENTS]

    def _row(self, clients: int, rounds: int) -> dict[str, float]:
        bursts: dict[str, list[Load]] = {name: [] for name in APPLICATIONS}
        for turn in range(rounds):
            names = list(APPLICATIONS)
            # Each is first in turn: what a neighbour on the machine does meets all of them.
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                bursts[name].append(self.burst(name, clients, BURST_REQUESTS))
        figures = {
            f"{name}_{what}": median([take(load) for load in loads])
            for name, loads in bursts.items()
            for what, take in (
                ("p50_ms", lambda load: load.percentile_ms(50)),
                ("p99_ms", lambda load: load.percentile_ms(99)),
                ("requests_a_second", lambda load: load.requests_a_second),
            )
        }
        return {
            "clients": clients,
            **{name: value for name, value in figures.items() if not name.startswith("noop_without_body")},
            "p50_ratio": figures["signal_p50_ms"] / figures["noop_p50_ms"],
            "p99_ratio": figures["signal_p99_ms"] / figures["noop_p99_ms"],
            "throughput_ratio": figures["signal_requests_a_second"] / figures["noop_requests_a_second"],
            "p50_ratio_without_body": figures["signal_p50_ms"] / figures["noop_without_body_p50_ms"],
        }

    def beside_discovery(self, folder: Path, rounds: int) -> dict[str, object]:
        """Return p99 without and with a discovery on the other cores, both at `AIMED_AT` clients, and their ratio."""
        quiet = [self.burst("signal", AIMED_AT, BURST_REQUESTS) for _ in range(rounds)]
        with discovery(folder):
            busy = [self.burst("signal", AIMED_AT, BURST_REQUESTS) for _ in range(rounds)]
        quiet += [self.burst("signal", AIMED_AT, BURST_REQUESTS) for _ in range(rounds)]
        p99 = [median([load.percentile_ms(99) for load in loads]) for loads in (quiet, busy)]
        return {
            "p99_ms_quiet": p99[0],
            "p99_ms_beside_discovery": p99[1],
            "p99_beside_discovery_ratio": p99[1] / p99[0],
        }


@contextmanager
def _services(folder: Path) -> Iterator[tuple[float, str]]:
    """Start PostgreSQL, Kafka and Valkey with seeded data; yield SOL's last close and an API key."""
    import psycopg

    from alpharay.store.accounts import Account, open_account
    from alpharay.store.ledger import book_capital
    from alpharay.store.migrate import migrate
    from serve_apps.edges.api_keys import new_key

    parts = (postgres, kafka, valkey)
    key, line = new_key("benchmark", ["read"])
    try:
        urls = {part.NAME: part.start(folder / part.NAME).url for part in parts}
        create_topics(urls[kafka.NAME])
        migrate(urls[postgres.NAME])
        for place, symbol in enumerate(SYMBOLS[1:], 1):
            store_market(urls[postgres.NAME], symbol, seed=place)
        asked = store_market_with_model(urls[postgres.NAME], SYMBOLS[0])
        with psycopg.connect(urls[postgres.NAME]) as connection:
            open_account(connection, Account(account_id="paper", kind="paper", currency="USD"))
            book_capital(connection, "paper", "opening", Decimal(100_000), time_ms=0)
        os.environ |= {
            "ALPHARAY_DATABASE_URL": urls[postgres.NAME],
            "ALPHARAY_KAFKA_BOOTSTRAP_SERVERS": urls[kafka.NAME],
            "ALPHARAY_REDIS_URL": urls[valkey.NAME],
            "ALPHARAY_API_KEYS": line,
            "ALPHARAY_RATE_LIMIT_PER_MINUTE": str(NEVER_REACHED),
        }
        yield float(asked.close[-1]), key
    finally:
        for part in parts:
            part.stop(folder / part.NAME)
        postgres.purge(folder / postgres.NAME)


def deploy() -> None:
    """Deploy all applications, one replica each."""
    from ray import serve

    from benchmarks.noop_app import Noop, NoopWithoutBody
    from serve_apps.signal import SignalServer

    serve.run(Noop.bind(), name="noop", route_prefix="/noop")
    serve.run(NoopWithoutBody.bind(), name="noop_without_body", route_prefix="/noop_without_body")
    one_replica = SignalServer.options(autoscaling_config=None, num_replicas=1)
    serve.run(one_replica.bind(), name="signal", route_prefix="/")


@contextmanager
def discovery(folder: Path) -> Iterator[None]:
    """Search all strategies on the benchmark's Ray cluster, with the workers that a discovery takes by itself."""
    import ray

    command = [sys.executable, "-m", "ray_jobs.discover", "--symbol", SYMBOLS[1], "--exchange", EXCHANGE]
    command += ["--timeframe", "1h", "--strategies", "all", "--population", "500", "--generations", "10000"]
    command += ["--patience", "10000", "--time-budget", str(DISCOVERY_SECONDS), "--no-store", "--out", str(folder)]
    environment = {**os.environ, "ALPHARAY_RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    output = folder / "discovery.txt"
    with output.open("w") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)
    try:
        _wait_until_searching(process, output)
        yield
        if process.poll() is not None:
            raise RuntimeError(f"the discovery ended before the measurement: {output.read_text()[-2000:]}")
    finally:
        process.terminate()
        process.wait(60.0)


def _wait_until_searching(process: subprocess.Popen[bytes], output: Path) -> None:
    """Wait until a worker has used a second of processor time on top of what its start took."""
    import psutil

    give_up_at = time.monotonic() + 120.0
    first: dict[int, float] = {}
    while time.monotonic() < give_up_at:
        if process.poll() is not None:
            raise RuntimeError(f"the discovery did not begin: {output.read_text()[-2000:]}")
        for worker in psutil.process_iter(["name", "cmdline"]):
            if any("backtest" in part.lower() and part.startswith("ray::") for part in worker.info["cmdline"] or ()):
                used = sum(worker.cpu_times()[:2])
                if used > first.setdefault(worker.pid, used) + 5.0:
                    return
        time.sleep(0.2)
    raise TimeoutError(f"no worker searched within 120 s: {output.read_text()[-2000:]}")


if __name__ == "__main__":
    main()
