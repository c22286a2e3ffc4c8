"""How a replica's Python shares its time between requests, threads and the garbage collector."""

from __future__ import annotations

import gc
import sys

NEW_OBJECTS = 20_000
"""So many more objects were made than freed when the collector looks at the young ones: a request frees its own."""

SWITCH_INTERVAL_S = 0.001
"""So long a thread beside the event loop may go on computing when a request wants to: Python's own 5 ms is more than
an answer takes, and a batch of log lines or messages would hold it up several times."""


def settle_interpreter() -> None:
    """Call it when everything is loaded: that stays as long as the replica, and is not searched for garbage again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 20, 100)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
