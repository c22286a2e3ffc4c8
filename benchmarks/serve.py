"""Measure `/generate_signal` against an application that does nothing, behind the same proxy in the same run.

    python -m benchmarks.serve            a table
    python -m benchmarks.serve --json     one JSON object

Bursts of the applications take turns; each figure is the median over the rounds. The one that does nothing takes the
request's body, as every POST endpoint must; against one that leaves the body alone there is a figure of its own,
since Serve's default proxy hands a body over in a call of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.http_load import Load, post_json
from benchmarks.report import Figures, machine, median, report, versions
from benchmarks.signal_data import STRATEGIES, store_market
from cluster.local import kafka, postgres, valkey
from cluster.local.port import LOOPBACK, free_port
from cluster.local.topics import create_topics

CLIENTS = (1, 8, 32)
SYMBOLS = ("SOL/USD", "BTC/USD", "ETH/USD")
WARM_UP_REQUESTS = 300
BURST_REQUESTS = 600
BURST_SECONDS = 3.0
"""A burst ends at either, so that a busy machine only makes the figures coarser, not the run longer."""

APPLICATIONS = {"noop": "/noop", "noop_without_body": "/noop_without_body", "signal": "/generate_signal"}

# Ray reads these when it is imported.
_RAY_ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_memory_monitor_refresh_ms": "0",
    "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=5, help="bursts of each application (default: %(default)s)")
    options = parser.parse_args()
    # A short folder: Ray's sockets have paths of at most 107 bytes.
    temporary = tempfile.TemporaryDirectory(prefix="ar-", dir="/tmp", ignore_cleanup_errors=True)
    with temporary as name, _services(Path(name)) as close, _serve(Path(name)) as port:
        rows = measure(port, close, options.rounds)
    figures: Figures = {
        "p50_ratio": max(row["p50_ratio"] for row in rows),
        "p99_ratio": max(row["p99_ratio"] for row in rows),
        "throughput_ratio": min(row["throughput_ratio"] for row in rows),
        "p50_ratio_without_body": max(row["p50_ratio_without_body"] for row in rows),
        "rounds": options.rounds,
        "strategies_a_market": len(STRATEGIES),
        "versions": versions("ray", "fastapi", "msgspec", "uvicorn"),
        "machine": machine(),
    }
    report("serve", figures, rows, as_json=options.json)


def measure(port: int, close: float, rounds: int) -> list[dict[str, float]]:
    """Return a row for each number of clients: milliseconds and requests a second of both, and their ratios."""
    body = json.dumps({"symbol": "SOL", "price": close}).encode()

    def burst(name: str, clients: int, requests: int) -> Load:
        return post_json(
            LOOPBACK, port, APPLICATIONS[name], body, clients=clients, requests=requests, seconds=BURST_SECONDS
        )

    for name in APPLICATIONS:
        burst(name, 8, WARM_UP_REQUESTS)
    answer = json.loads(burst("signal", 1, 1).last_body)
    assert answer["symbol"] == "SOL/USD", answer
    assert len(answer["strategies"]) == len(STRATEGIES), answer
    rows = []
    for clients in CLIENTS:
        bursts: dict[str, list[Load]] = {name: [] for name in APPLICATIONS}
        for turn in range(rounds):
            names = list(APPLICATIONS)
            # Each is first in turn: what a neighbour on the machine does meets all of them.
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                bursts[name].append(burst(name, clients, BURST_REQUESTS))
        figures = {
            f"{name}_{what}": median([take(load) for load in loads])
            for name, loads in bursts.items()
            for what, take in (
                ("p50_ms", lambda load: load.percentile_ms(50)),
                ("p99_ms", lambda load: load.percentile_ms(99)),
                ("requests_a_second", lambda load: load.requests_a_second),
            )
        }
        rows.append(
            {
                "clients": clients,
                **{name: value for name, value in figures.items() if not name.startswith("noop_without_body")},
                "p50_ratio": figures["signal_p50_ms"] / figures["noop_p50_ms"],
                "p99_ratio": figures["signal_p99_ms"] / figures["noop_p99_ms"],
                "throughput_ratio": figures["signal_requests_a_second"] / figures["noop_requests_a_second"],
                "p50_ratio_without_body": figures["signal_p50_ms"] / figures["noop_without_body_p50_ms"],
            }
        )
    return rows


@contextmanager
def _services(folder: Path) -> Iterator[float]:
    """Start PostgreSQL, Kafka and Valkey with seeded data; yield SOL's last close."""
    from alpharay.store.migrate import migrate

    parts = (postgres, kafka, valkey)
    try:
        urls = {part.NAME: part.start(folder / part.NAME).url for part in parts}
        create_topics(urls[kafka.NAME])
        migrate(urls[postgres.NAME])
        candles = {
            symbol: store_market(urls[postgres.NAME], symbol, seed=place) for place, symbol in enumerate(SYMBOLS)
        }
        os.environ |= {
            "ALPHARAY_DATABASE_URL": urls[postgres.NAME],
            "ALPHARAY_KAFKA_BOOTSTRAP_SERVERS": urls[kafka.NAME],
            "ALPHARAY_REDIS_URL": urls[valkey.NAME],
        }
        yield float(candles["SOL/USD"].close[-1])
    finally:
        for part in parts:
            part.stop(folder / part.NAME)
        postgres.purge(folder / postgres.NAME)


@contextmanager
def _serve(folder: Path) -> Iterator[int]:
    """Start Ray and Serve with both applications, one replica each; yield the proxy's port."""
    os.environ |= _RAY_ENVIRONMENT
    import ray
    from ray import serve

    from benchmarks.noop_app import Noop, NoopWithoutBody
    from serve_apps.signal import SignalServer

    try:
        ray.init(
            address="local",
            num_cpus=4,
            object_store_memory=100 * 1024 * 1024,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            _temp_dir=str(folder / "r"),
            _node_ip_address=LOOPBACK,
        )
        port = free_port()
        serve.start(proxy_location="HeadOnly", http_options={"host": LOOPBACK, "port": port})
        serve.run(Noop.bind(), name="noop", route_prefix="/noop")
        serve.run(NoopWithoutBody.bind(), name="noop_without_body", route_prefix="/noop_without_body")
        one_replica = SignalServer.options(autoscaling_config=None, num_replicas=1)
        serve.run(one_replica.bind(), name="signal", route_prefix="/")
        yield port
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
