"""The seed's workload: symbols x ten Fibonacci windows x strategies, each a search of 50 genomes x 30 generations.

    python -m benchmarks.requests --json
    python -m benchmarks.requests --symbols 20 --strategies 60 --workers 16     # all 12,000 requests

Requests are rows of a PostgreSQL that this starts; workers are Ray actors that claim, search and finish them, as
`python -m ray_jobs.discover --from-queue` does. Each round works off the same requests: in this process without Ray,
with one Ray worker, with two. Times are from the first claim to the last end, as the database saw them; processor
seconds are those of the workers, and say more where other work runs on the same cores. A round that does not count
comes first, because compiled code is loaded in it. The champions of every round must be the same bits.

With `--kept-columns` pairs of rounds follow that do and do not keep indicator columns between claims: what it saves is
the ratio of their processor seconds.

`ray_overhead_ms` is the processor time that one Ray worker needs more for a request than this process. `projection` is
a calculation, not a measurement: workers as fast as one of these, each on a core of its own, less what two of them
needed more processor time than one, and one database, whose share of a request (`database_ms`: claim and end, while
12,000 rows wait) bounds the rate of them all.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil
from pydantic import SecretStr

from alpharay.backtest.costs import Costs
from alpharay.bus.messages import CandleMessage, DiscoveryRequest
from alpharay.discovery.search import SearchSettings
from alpharay.market.candles import VALUE_COLUMNS, Candles
from alpharay.market.files import read_candles
from alpharay.settings import Settings
from alpharay.store.candle_rows import Market
from alpharay.store.candle_writer import CandleWriter
from alpharay.store.database import BATCH_STATEMENT_TIMEOUT_S, DatabasePool, open_pool
from alpharay.store.ingested_markets import want_market
from alpharay.store.migrate import migrate
from alpharay.store.runs import claim_runs, enqueue_run, finish_run, yield_runs
from alpharay.strategies.catalogue import CATALOGUE
from benchmarks.discovery import REAL_CANDLES, local_ray
from benchmarks.random_walk import random_walk
from benchmarks.report import Figures, machine, median, report, versions
from cluster.local import postgres
from ray_jobs.queued_discovery import RUNS_A_CLAIM, SearchQueue
from ray_jobs.request_discovery import make_requests
from ray_jobs.work_queue import work_on

WINDOWS = (1597, 2584, 4181, 6765, 10946, 17711, 28657, 46368, 75025, 121393)
SEED_REQUESTS = 12_000
PROJECTED_MACHINES = (1, 4, 16, 64)
CORES_A_MACHINE = 16
EXCHANGE = "benchmark"
SAMPLE_S = 0.5


@contextmanager
def database() -> Iterator[str]:
    """Start a PostgreSQL of this benchmark's own, and end it."""
    folder = Path(tempfile.mkdtemp(prefix="ar-requests-", dir="/tmp"))
    try:
        yield postgres.start(folder).url
    finally:
        postgres.stop(folder)
        postgres.purge(folder)
        shutil.rmtree(folder, ignore_errors=True)


def market_candles(number: int, rows: int) -> tuple[Candles, str]:
    """Return minutes of one symbol: real ones for the first, where they are, generated walks for the others."""
    symbol = f"S{number}/USD"
    if number == 0 and REAL_CANDLES.is_file():
        source, name = read_candles(REAL_CANDLES).tail(rows), REAL_CANDLES.name
    else:
        source, name = random_walk(rows, seed=number), "generated random walks"
    columns = (getattr(source, column) for column in VALUE_COLUMNS)
    return Candles(EXCHANGE, symbol, "1m", source.open_time, *columns), name


def store(pool: DatabasePool, candles: Candles) -> None:
    """Write candles as the sink does."""
    market = Market(candles.exchange, candles.symbol, candles.timeframe)
    rows = zip(candles.open_time.tolist(), *(getattr(candles, name).tolist() for name in VALUE_COLUMNS), strict=True)
    fields = {"exchange": market.exchange, "symbol": market.symbol, "timeframe": market.timeframe, "revision": 1}
    values = [
        msgspec.json.encode(CandleMessage(**fields, **dict(zip(("open_time", *VALUE_COLUMNS), row, strict=True))))
        for row in rows
    ]
    writer = CandleWriter()
    prepared = writer.decode(values)
    writer.prepare(pool, prepared.content)
    with pool.connection() as connection:
        writer.write(connection, prepared.content)
        want_market(connection, market, 0)


def queue(pool: DatabasePool, requests: Sequence[DiscoveryRequest]) -> None:
    """Queue the requests, and nothing else."""
    with pool.connection() as connection:
        connection.execute("TRUNCATE discovery_runs, discovery_checkpoints, served_symbols, outbox")
        for request in requests:
            enqueue_run(connection, request)


class WorkerSampler(threading.Thread):
    """Samples the processes that hold leases: the largest unique set size, and the processor time of all of them."""

    def __init__(self, pool: DatabasePool) -> None:
        super().__init__(daemon=True)
        self.peak_mb = 0.0
        self._pool = pool
        self._first: dict[int, float] = {}
        self._last: dict[int, float] = {}
        self._done = threading.Event()

    def run(self) -> None:
        """Sample until `stop`."""
        while not self._done.wait(SAMPLE_S):
            with self._pool.connection() as connection:
                rows = connection.execute(
                    "SELECT DISTINCT lease_owner FROM discovery_runs WHERE status = 'RUNNING'"
                ).fetchall()
            for (owner,) in rows:
                number = int(owner.rpartition(":")[2])
                try:
                    process = psutil.Process(number)
                    used, times = process.memory_full_info().uss / 1e6, process.cpu_times()
                except psutil.Error:
                    continue
                self.peak_mb = max(self.peak_mb, used)
                self._first.setdefault(number, times.user + times.system)
                self._last[number] = times.user + times.system

    @property
    def cpu_s(self) -> float:
        """Processor seconds between the first and the last sample of each process, summed."""
        return sum(self._last[number] - first for number, first in self._first.items())

    def stop(self) -> None:
        """End the sampling."""
        self._done.set()
        self.join(timeout=10.0)


def measured(pool: DatabasePool) -> tuple[Figures, str]:
    """Return the figures of the round that the database holds, and a digest of everything that it found."""
    with pool.connection() as connection:
        row = connection.execute(
            "SELECT count(*), sum((progress ->> 'evaluations')::bigint), sum((progress ->> 'backtest_s')::float8), "
            "extract(epoch FROM max(finished_at) - min(started_at))::float8, "
            "sum((progress ->> 'evaluations')::float8 * ((request ->> 'end_time')::bigint "
            "- (request ->> 'start_time')::bigint) / 60000 * (request ->> 'train_fraction')::float8), "
            "sum(slices) FROM discovery_runs WHERE status = 'DONE'"
        ).fetchone()
        found = connection.execute("SELECT message_id, value FROM outbox ORDER BY message_id").fetchall()
    assert row is not None
    runs, evaluations, backtest_s, seconds, bars, slices = row
    digest = hashlib.sha256("\n".join(f"{key} {value}" for key, value in found).encode()).hexdigest()
    return {
        "requests": runs,
        "seconds": seconds,
        "requests_per_second": runs / seconds,
        "backtests_per_second": float(evaluations) / seconds,
        "bars_per_second": bars / seconds,
        "backtest_share": backtest_s / seconds,
        "slices": slices,
        "champions": len(found),
    }, digest


def database_ms(pool: DatabasePool, requests: Sequence[DiscoveryRequest], rows: int = SEED_REQUESTS) -> Figures:
    """Return what claiming and ending one request costs the database while `rows` wait."""
    many = [
        msgspec.structs.replace(requests[number % len(requests)], run_id=f"row-{number}", symbol=f"Q{number % 20}/USD")
        for number in range(rows)
    ]
    began = time.perf_counter()
    queue(pool, many)
    enqueue_s = time.perf_counter() - began
    claim_s = end_s = 0.0
    claimed = 0
    for _ in range(10):
        began = time.perf_counter()
        with pool.connection() as connection:
            runs = claim_runs(connection, "benchmark", limit=RUNS_A_CLAIM)
        claim_s += time.perf_counter() - began
        claimed += len(runs)
        began = time.perf_counter()
        with pool.connection() as connection:
            for run in runs[: RUNS_A_CLAIM // 2]:
                finish_run(connection, run, [])
        end_s += (time.perf_counter() - began) * 2.0
        with pool.connection() as connection:
            yield_runs(connection, runs)
    return {
        "enqueue_ms": enqueue_s / rows * 1e3,
        "claim_ms": claim_s / claimed * 1e3,
        "end_ms": end_s / claimed * 1e3,
        "waiting_rows": rows,
    }


def projection(one_worker: float, efficiency: float, database_s: float) -> list[Figures]:
    """Return the requests/s and the minutes for the seed's 12,000 requests on so many machines."""
    found: list[Figures] = []
    for machines in PROJECTED_MACHINES:
        workers = machines * CORES_A_MACHINE
        rate = min(one_worker * workers * efficiency, 1.0 / database_s)
        found.append(
            {
                "machines": machines,
                "workers": workers,
                "requests_per_second": rate,
                "minutes_for_12000": SEED_REQUESTS / rate / 60.0,
                "bound_by": "database" if rate == 1.0 / database_s else "workers",
            }
        )
    return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=2)
    parser.add_argument("--windows", default=",".join(map(str, WINDOWS)), help="lengths in minutes")
    parser.add_argument("--strategies", type=int, default=6, help="so many of the catalogue, evenly spread")
    parser.add_argument("--population", type=int, default=50)
    parser.add_argument("--generations", type=int, default=30)
    parser.add_argument("--workers", default="0,1,2", help="workers of each round; 0 is this process without Ray")
    parser.add_argument(
        "--kept-columns",
        type=int,
        default=0,
        metavar="PAIRS",
        help="also so many pairs of rounds in this process, without and with columns kept between claims",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    windows = [int(window) for window in chosen.windows.split(",")]
    names = list(CATALOGUE)
    strategies = [CATALOGUE[names[place * len(names) // chosen.strategies]] for place in range(chosen.strategies)]
    search = SearchSettings(population=chosen.population, generations=chosen.generations)
    rows: list[Figures] = []
    digests = set()
    with (
        database() as url,
        open_pool(
            url, application="requests", max_connections=3, statement_timeout_s=BATCH_STATEMENT_TIMEOUT_S
        ) as pool,
        local_ray(),
    ):
        migrate(url)
        settings = Settings(database_url=SecretStr(url))
        sources = set()
        requests: list[DiscoveryRequest] = []
        for number in range(chosen.symbols):
            candles, source = market_candles(number, max(windows))
            sources.add(source)
            store(pool, candles)
            requests += make_requests(pool, [candles.symbol], "1m", windows, strategies, search, Costs())
        queue(pool, [request for request in requests if request.start_time == requests[0].start_time])
        work_on(SearchQueue(), settings, workers=0, forever=False, tell=lambda _: None)
        for workers in (int(one) for one in chosen.workers.split(",")):
            queue(pool, requests)
            sampler = WorkerSampler(pool)
            sampler.start()
            work_on(SearchQueue(), settings, workers=workers, forever=False, tell=lambda _: None)
            sampler.stop()
            if sampler.cpu_s == 0.0:
                raise SystemExit(f"{len(requests)} requests end too soon to be measured: give more or longer windows")
            figures, digest = measured(pool)
            done = {
                name: float(figures[f"{name}_per_second"]) * float(figures["seconds"])  # type: ignore[arg-type]
                for name in ("backtests", "bars")
            }
            assert figures["requests"] == len(requests), "not every request was done"
            digests.add(digest)
            rows.append(
                {
                    "workers": workers,
                    **figures,
                    "cpu_seconds": sampler.cpu_s,
                    "requests_per_cpu_second": len(requests) / sampler.cpu_s,
                    "backtests_per_cpu_second": done["backtests"] / sampler.cpu_s,
                    "bars_per_cpu_second": done["bars"] / sampler.cpu_s,
                    "peak_worker_mb": sampler.peak_mb,
                }
            )
            print(f"{workers} workers: {figures['seconds']:.1f} s, {sampler.cpu_s:.1f} s of processor", file=sys.stderr)
        pairs = []
        for _ in range(chosen.kept_columns):
            seconds = []
            for kept in (0, SearchQueue().column_bytes):
                queue(pool, requests)
                before = time.process_time()
                work_on(SearchQueue(column_bytes=kept), settings, workers=0, forever=False, tell=lambda _: None)
                seconds.append(time.process_time() - before)
                digests.add(measured(pool)[1])
            pairs.append(seconds)
        assert len(digests) == 1, "the champions depended on the workers"
        costs = database_ms(pool, requests)
    columns: Figures = {}
    if pairs:
        columns["columns_kept_between_claims"] = {
            "cpu_seconds_without": [round(without, 2) for without, _ in pairs],
            "cpu_seconds_with": [round(kept, 2) for _, kept in pairs],
            "median_ratio": round(median([without / kept for without, kept in pairs]), 3),
        }
    by_workers = {row["workers"]: row for row in rows}
    figures = {
        "symbols": chosen.symbols,
        "windows": windows,
        "strategies": len(strategies),
        "same_champions": True,
        "database_ms": costs,
        **columns,
        "candles": sorted(sources),
        "machine": machine(),
        "versions": versions("ray", "numba", "numpy", "psycopg"),
    }
    if {0, 1} <= by_workers.keys():
        figures["ray_overhead_ms"] = (
            (by_workers[1]["cpu_seconds"] - by_workers[0]["cpu_seconds"])  # type: ignore[operator]
            / len(requests)
            * 1e3
        )
    if {1, 2} <= by_workers.keys():
        speed_up = by_workers[1]["seconds"] / by_workers[2]["seconds"]  # type: ignore[operator]
        figures["speed_up_two_workers"] = speed_up
        database_s = (costs["claim_ms"] + costs["end_ms"]) / 1e3  # type: ignore[operator]
        efficiency = by_workers[1]["cpu_seconds"] / by_workers[2]["cpu_seconds"]  # type: ignore[operator]
        one_worker = float(by_workers[1]["requests_per_cpu_second"])  # type: ignore[arg-type]
        figures["projection"] = projection(one_worker, min(efficiency, 1.0), database_s)
    report("requests", figures, rows, as_json=chosen.json)


if __name__ == "__main__":
    main()
