"""Ids for what has none: 128 random bits as 32 digits."""

from __future__ import annotations

import os
from collections import deque
from typing import Final

_BYTES: Final = 16
_AT_ONCE: Final = 256
"""To ask the system for random bits costs the same for many ids as for one, and more than all else about an id."""

# Taking from a deque is safe between threads; a process begun by a fork must not have its parent's.
_ready: deque[str] = deque()
os.register_at_fork(after_in_child=_ready.clear)


def new_identifier() -> str:
    """Return an id that nobody can foresee."""
    try:
        return _ready.popleft()
    except IndexError:
        digits = os.urandom(_BYTES * _AT_ONCE).hex()
        identifiers = [digits[place : place + 2 * _BYTES] for place in range(0, len(digits), 2 * _BYTES)]
        _ready.extend(identifiers[1:])
        return identifiers[0]
