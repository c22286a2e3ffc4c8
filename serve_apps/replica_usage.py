"""What a replica tells Serve about itself, for `HpaPolicy`: processor, memory, requests in flight."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from alpharay.autoscaling.process_usage import ProcessTreeMeter

CPU_CORES = "cpu_cores"
CPU_WINDOW_S = "cpu_window_s"
MEMORY_BYTES = "memory_bytes"
PROCESS_STARTED_S = "process_started_s"
IN_FLIGHT = "in_flight_requests"


class InFlightRequests:
    """Counts the HTTP requests that a replica is answering; used from one event loop."""

    def __init__(self) -> None:
        self.count = 0

    def counted(self, app: ASGIApp) -> ASGIApp:
        """Return the application with its requests counted, from the first byte to the last of the answer."""

        async def counting(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            self.count += 1
            try:
                await app(scope, receive, send)
            finally:
                self.count -= 1

        return counting


class MeasuredReplica:
    """A base of deployments that `HpaPolicy` scales: Serve calls `record_autoscaling_stats` on each replica.

    Count requests with `app.add_middleware(replica.in_flight.counted)`, or raise and lower `in_flight.count`.
    Processor time is averaged over `usage_window_s`.
    """

    def __init__(self, *, usage_window_s: float = 15.0) -> None:
        self.in_flight = InFlightRequests()
        self._meter = ProcessTreeMeter(window_s=usage_window_s)

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Return this process's usage, with its children's, and the requests that it is answering."""
        # Measured in a thread: a few milliseconds in the kernel, which no request shall wait for.
        usage = await asyncio.to_thread(self._meter.measure)
        return {
            CPU_CORES: usage.cpu_cores,
            CPU_WINDOW_S: usage.window_s,
            MEMORY_BYTES: float(usage.memory_bytes),
            PROCESS_STARTED_S: usage.started_s,
            IN_FLIGHT: float(self.in_flight.count),
        }
