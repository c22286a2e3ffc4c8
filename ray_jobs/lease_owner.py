"""The names under which processes hold leases, and which of them are known to be dead."""

from __future__ import annotations

import os
import socket


def owner_name() -> str:
    """Return the name under which this process holds leases."""
    return f"{socket.gethostname()}:{os.getpid()}"


def is_gone(owner: str) -> bool:
    """Tell whether an owner was a process of this machine that has ended; False when that cannot be known."""
    host, _, process_id = owner.rpartition(":")
    if host != socket.gethostname() or not process_id.isdecimal():
        return False
    try:
        os.kill(int(process_id), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
