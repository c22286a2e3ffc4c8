"""Loopback ports: picked free once, remembered, used again as long as they stay free."""

from __future__ import annotations

import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """Return a port that no process of this machine listens on now."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return int(listener.getsockname()[1])


def is_free(port: int) -> bool:
    """Tell whether a server could listen on `port` of the loopback address."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def remembered_port(folder: Path, name: str = "port") -> int | None:
    """Return the port that the file `name` of `folder` holds; None when there is none."""
    try:
        return int((folder / name).read_text())
    except (FileNotFoundError, ValueError):
        return None


def claim_port(folder: Path, name: str = "port") -> int:
    """Return the remembered port when it is free, else a new free one, which is remembered."""
    port = remembered_port(folder, name)
    if port is None or not is_free(port):
        port = free_port()
        (folder / name).write_text(f"{port}\n")
    return port
