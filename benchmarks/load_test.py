"""Load a running service at a constant rate or a ramp, and draw requests, replicas and latency over time.

    python -m benchmarks.load_test --url http://127.0.0.1:8000/ --rate 20 --ramp-to 200 --seconds 60 --html load.html

With `--body` the requests are POSTs of that JSON. With `--dashboard http://127.0.0.1:8265 --application signal
--deployment SignalService` the replicas are drawn too.

Every request has its time and does not wait for others; latency counts from that time. `turned_away` are 503 and 429
with Retry-After; `failed` is everything else that is not 2xx, so also what was cut or hung. The exit status is 1 when
anything failed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from dataclasses import asdict
from pathlib import Path

import httpx

from benchmarks.load_page import load_page
from benchmarks.load_series import by_second, figures
from benchmarks.open_load import Outcome, Ramp, run_load
from benchmarks.replica_watch import ReplicaCount, ask_replicas, watch_replicas
from benchmarks.report import Figures, machine, report


async def load(options: argparse.Namespace, ramp: Ramp) -> tuple[list[Outcome], list[ReplicaCount]]:
    """Run the load and watch the replicas beside it."""
    counts: list[ReplicaCount] = []
    limits = httpx.Limits(max_connections=options.most_in_flight, max_keepalive_connections=options.most_in_flight)
    async with httpx.AsyncClient(trust_env=False, limits=limits, timeout=options.timeout) as client:
        watching = None
        if options.dashboard:
            watched = (options.dashboard, options.application, options.deployment)
            # What cannot be watched is told before the load, not after it.
            await ask_replicas(client, *watched)
            watching = asyncio.create_task(watch_replicas(client, *watched, counts))
        method = "GET" if options.body is None else "POST"
        headers = {} if options.body is None else {"content-type": "application/json"}
        request = client.build_request(method, options.url, headers=headers, content=options.body)
        outcomes = await run_load(
            client, request, ramp, most_in_flight=options.most_in_flight, timeout_s=options.timeout
        )
        if watching is not None:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
    return outcomes, counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="what is asked")
    parser.add_argument("--body", help="JSON body: the request is a POST; without it a GET")
    parser.add_argument("--rate", type=float, default=10.0, help="requests a second at the beginning (default 10)")
    parser.add_argument("--ramp-to", type=float, help="requests a second at the end (default: as at the beginning)")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long (default 30)")
    parser.add_argument("--most-in-flight", type=int, default=500, help="never more waiting requests (default 500)")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds until a request is given up (default 30)")
    parser.add_argument("--dashboard", help="address of Ray's dashboard, to watch the replicas")
    parser.add_argument("--application", help="the Serve application whose replicas are watched")
    parser.add_argument("--deployment", help="its deployment")
    parser.add_argument("--html", type=Path, help="write the drawing to this file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.dashboard and not (options.application and options.deployment):
        parser.error("--dashboard needs --application and --deployment, of which one was not given")
    try:
        ramp = Ramp(options.rate, options.rate if options.ramp_to is None else options.ramp_to, options.seconds)
    except ValueError as error:
        parser.error(str(error))
    try:
        outcomes, counts = asyncio.run(load(options, ramp))
    except (httpx.HTTPError, LookupError) as error:
        parser.error(f"--dashboard {options.dashboard}: {error}")
    seconds = by_second(outcomes)
    if options.html is not None:
        options.html.write_text(load_page(f"Load on {options.url}", seconds, counts), encoding="utf-8")
    result: Figures = {
        **figures(outcomes),
        "most_replicas": max((count.running for count in counts), default=None),
        "machine": machine(),
    }
    report("load test", result, [asdict(second) for second in seconds], as_json=options.json)
    sys.exit(1 if result["failed"] else 0)


if __name__ == "__main__":
    main()
