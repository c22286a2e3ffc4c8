"""The replay's clock: what time it is at the simulated exchange."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec


class ReplayClock:
    """A clock that runs from `start_ms` `speed` times as fast as real time and stands still at `end_ms`.

    It stops at the end of the data because an exchange whose time went on without candles would only look
    broken. Speed 0 is a clock that moves by `set` alone. `real_time` gives seconds (tests hand in their own).
    """

    def __init__(self, start_ms: int, end_ms: int, speed: float, real_time: Callable[[], float] = time.time) -> None:
        if not 0 <= speed < float("inf"):
            raise ValueError(f"speed must be 0 or more, was {speed}")
        self.end_ms = end_ms
        self.speed = speed
        self._real_time = real_time
        self.set(start_ms)

    def set(self, now_ms: int) -> None:
        """Move the clock to `now_ms`, from where it runs on."""
        self._from_ms = now_ms
        self._since = self._real_time()

    def now_ms(self) -> int:
        """Return the replay's time, UTC ms."""
        elapsed_ms = max(self._real_time() - self._since, 0.0) * 1000.0 * self.speed
        return int(min(self._from_ms + elapsed_ms, self.end_ms))


class ClockRecord(msgspec.Struct, frozen=True):
    """What a clock file keeps: the replay's time was `from_ms` at the real time `since` (s)."""

    from_ms: int
    since: float
    speed: float
    end_ms: int


def continued_clock(file: Path, start_ms: int, end_ms: int, speed: float) -> ReplayClock:
    """Return a clock that goes on as if it had never stopped since `file` was first written.

    So a replay that is started again does not fall behind the candles that its clients already have. A file
    of other data (another end) or an unreadable one counts as none: the clock starts at `start_ms`, and is
    recorded.
    """
    record = _read(file)
    if record is not None and record.end_ms == end_ms:
        elapsed_ms = max(time.time() - record.since, 0.0) * 1000.0 * record.speed
        start_ms = int(min(record.from_ms + elapsed_ms, end_ms))
    now = ClockRecord(start_ms, time.time(), speed, end_ms)
    file.write_bytes(msgspec.json.encode(now))
    return ReplayClock(start_ms, end_ms, speed)


def _read(file: Path) -> ClockRecord | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=ClockRecord)
    except (OSError, msgspec.MsgspecError):
        return None
