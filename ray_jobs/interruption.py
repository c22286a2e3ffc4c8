"""Ctrl-C while work is under way, so that it cannot be lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptions(raised: type[BaseException] = KeyboardInterrupt) -> Iterator[threading.Event]:
    """Let Ctrl-C raise `raised` and set the event.

    Compiled code that calls back into Python drops what is raised there: the event stays, and whoever sees it raises
    again. Outside the main thread, where no handler may be set, the event stays clear.
    """
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        interrupted.set()
        raise raised

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)
