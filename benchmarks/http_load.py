"""A small HTTP/1.1 load generator: keep-alive clients that each send the next request when they have the answer.

Its own cost is a tenth of a general client's, so that on a machine shared with the server it measures the server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

REQUEST_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Load:
    """What one burst measured."""

    latencies_s: tuple[float, ...]
    seconds: float
    last_body: bytes

    def percentile_ms(self, percent: float) -> float:
        """Return a percentile of the latencies in milliseconds (nearest rank)."""
        ordered = sorted(self.latencies_s)
        return ordered[min(int(len(ordered) * percent / 100.0), len(ordered) - 1)] * 1000.0

    @property
    def requests_a_second(self) -> float:
        """Answers a second of all clients together."""
        return len(self.latencies_s) / self.seconds


def post_json(
    host: str,
    port: int,
    path: str,
    body: bytes,
    *,
    clients: int,
    requests: int,
    seconds: float = 60.0,
    headers: Mapping[str, str] | None = None,
) -> Load:
    """Send POSTs over `clients` connections until `requests` are answered or `seconds` have passed.

    Raises RuntimeError when an answer is not 200.
    """
    sent = {
        "Host": f"{host}:{port}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    message = f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body
    return asyncio.run(_run(host, port, message, clients, requests, seconds))


async def _run(host: str, port: int, message: bytes, clients: int, requests: int, seconds: float) -> Load:
    latencies: list[float] = []
    left = iter(range(requests))
    give_up_at = time.perf_counter() + seconds
    body = b""

    async def client() -> None:
        nonlocal body
        reader, writer = await asyncio.open_connection(host, port)
        try:
            for _ in left:
                if time.perf_counter() > give_up_at:
                    break
                started = time.perf_counter()
                try:
                    writer.write(message)
                    body = await asyncio.wait_for(_read_answer(reader), REQUEST_TIMEOUT_S)
                except (asyncio.IncompleteReadError, ConnectionError) as error:
                    # A proxy that reads its configuration anew closes what is idle; every client then asks again.
                    if getattr(error, "partial", b""):
                        raise
                    writer.close()
                    reader, writer = await asyncio.open_connection(host, port)
                    writer.write(message)
                    body = await asyncio.wait_for(_read_answer(reader), REQUEST_TIMEOUT_S)
                latencies.append(time.perf_counter() - started)
        finally:
            writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return Load(tuple(latencies), time.perf_counter() - started, body)


async def _read_answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    length = next(int(line[15:]) for line in lines if line[:15].lower() == b"content-length:")
    body = await reader.readexactly(length)
    if b" 200 " not in lines[0]:
        raise RuntimeError(f"an answer was {lines[0].decode()}: {body[:300].decode('utf-8', 'replace')}")
    return body
