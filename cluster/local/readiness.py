"""Waiting for a server that was just started, until it answers or has ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tenacity import RetryCallState, RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from cluster.local.process import PartFailedError, log_file, log_tail, running
from cluster.local.service import Service


def wait_until_ready(folder: Path, probe: Callable[[Path], Service | None], *, seconds: float) -> Service:
    """Return the service once `probe` finds it.

    Raises PartFailedError, with the end of the server's log, when the server ends or `seconds` pass first.
    """

    def check_alive(_: RetryCallState) -> None:
        if running(folder) is None:
            raise PartFailedError(_failure(folder, "ended instead of starting"))

    attempts = Retrying(
        retry=retry_if_result(lambda found: found is None),
        stop=stop_after_delay(seconds),
        wait=wait_fixed(0.1),
        before_sleep=check_alive,
    )
    try:
        service = attempts(probe, folder)
    except RetryError:
        raise PartFailedError(_failure(folder, f"did not answer within {seconds:.0f} s")) from None
    assert service is not None, "retried until it was found"
    return service


def _failure(folder: Path, what: str) -> str:
    return f"{folder.name} {what}; its log {log_file(folder)} ends with:\n{log_tail(folder)}"
