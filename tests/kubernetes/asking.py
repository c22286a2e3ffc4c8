"""Ask for signals at a constant rate, without waiting for the answers before, and keep what became of each.

A process of its own, in the node's network, until it is told to end:

    python -m tests.kubernetes.asking URL SYMBOL PRICE EVERY_S PATIENCE_S FILE

Each request has a connection of its own, as those of many users have.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TextIO

import httpx


async def ask_until_told(url: str, question: dict[str, object], every_s: float, patience_s: float, out: TextIO) -> None:
    """Ask until SIGTERM, then wait for the answers that are due."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    asked: set[asyncio.Task[None]] = set()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(limits=limits, timeout=patience_s, trust_env=False) as client:
        due, parent = time.monotonic(), os.getppid()
        # Who started this may be killed: then no one wants to know.
        while not told.is_set() and os.getppid() == parent:
            task = asyncio.create_task(ask(client, url, question, out))
            asked.add(task)
            task.add_done_callback(asked.discard)
            due += every_s
            try:
                await asyncio.wait_for(told.wait(), max(due - time.monotonic(), 0.0))
            except TimeoutError:
                continue
        await asyncio.gather(*asked)


async def ask(client: httpx.AsyncClient, url: str, question: dict[str, object], out: TextIO) -> None:
    """Ask once; one line tells when, what was answered, and how long it took."""
    line: dict[str, object] = {"at": time.time(), "status": 0}
    started = time.monotonic()
    try:
        answer = await client.post(url, json=question)
        line |= {"status": answer.status_code}
        if answer.status_code == httpx.codes.OK:
            said = answer.json()
            line |= {"signal_id": said["signal_id"], "candle_time": said["candle_time"]}
        else:
            line |= {"why": answer.text[:300]}
    except httpx.HTTPError as error:
        line |= {"why": repr(error)}
    line |= {"seconds": round(time.monotonic() - started, 4)}
    out.write(json.dumps(line) + "\n")
    out.flush()


def main() -> None:
    """Run from the command line."""
    url, symbol, price, every_s, patience_s, file = sys.argv[1:]
    with Path(file).open("w") as out:
        question = {"symbol": symbol, "price": float(price)}
        asyncio.run(ask_until_told(url, question, float(every_s), float(patience_s), out))


if __name__ == "__main__":
    main()
