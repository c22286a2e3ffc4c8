"""Faults on request: what an exchange does to its clients on a bad day."""

from __future__ import annotations

from collections import deque
from typing import Literal

import msgspec

FaultKind = Literal["status", "timeout", "disconnect", "garbage", "bad_row", "empty_page"]
BadRow = Literal["high_below_low", "nan", "negative_price", "negative_volume", "duplicate", "misaligned"]

MAX_FAULTS = 1000
MAX_TIMEOUT_S = 60.0


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens to one request.

    `status` answers with that HTTP status (`retry_after_s` goes into the header of a 429 or 418); `timeout`
    waits `seconds` before it answers; `disconnect` closes the connection in mid answer; `garbage` answers
    with a page of HTML; `bad_row` spoils the page's middle row as `row` says; `empty_page` answers klines
    with no rows.
    """

    kind: FaultKind
    path: str = "klines"
    """Only requests whose path ends so."""
    status: int = 500
    retry_after_s: int = 1
    seconds: float = 5.0
    row: BadRow = "high_below_low"

    def __post_init__(self) -> None:
        if not 400 <= self.status <= 599:
            raise ValueError(f"status must be 400 to 599, was {self.status}")
        if not 0 <= self.seconds <= MAX_TIMEOUT_S:
            raise ValueError(f"seconds must be 0 to {MAX_TIMEOUT_S:.0f}, was {self.seconds}")


class Faults:
    """The faults still to happen, in order; at most `MAX_FAULTS`."""

    def __init__(self) -> None:
        self._waiting: deque[Fault] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, fault: Fault, count: int = 1) -> None:
        """Let the next `count` matching requests meet `fault`."""
        if not 1 <= count <= MAX_FAULTS - len(self._waiting):
            raise ValueError(f"count must be 1 to {MAX_FAULTS - len(self._waiting)}, was {count}")
        self._waiting.extend([fault] * count)

    def clear(self) -> None:
        """Forget all waiting faults."""
        self._waiting.clear()

    def next_for(self, path: str) -> Fault | None:
        """Return the fault that a request of `path` meets, and strike it off; None for a good day."""
        if self._waiting and path.endswith(self._waiting[0].path):
            return self._waiting.popleft()
        return None


def spoil(rows: list[list[object]], bad: BadRow) -> list[list[object]]:
    """Return klines rows with the middle one spoiled (a duplicate stands beside its original)."""
    if not rows:
        return rows
    middle = len(rows) // 2
    row = list(rows[middle])
    match bad:
        case "high_below_low":
            row[2], row[3] = str(float(str(row[3])) * 0.5), row[2]
        case "nan":
            row[4] = "NaN"
        case "negative_price":
            row[1] = "-1.0"
        case "negative_volume":
            row[5] = "-1.0"
        case "misaligned":
            row[0] = int(str(row[0])) + 1
        case "duplicate":
            return [*rows[: middle + 1], row, *rows[middle + 1 :]]
    return [*rows[:middle], row, *rows[middle + 1 :]]
