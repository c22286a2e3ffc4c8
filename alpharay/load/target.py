"""Which addresses a load may be put on: this machine's own, unless its owner has agreed to another's."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit


def check_target(url: str, *, allow_remote: bool = False) -> None:
    """Raise ValueError for what is no HTTP address, and for another machine's unless `allow_remote`.

    A name is this machine's own only when every address that it resolves to is a loopback address.
    """
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"the address must be http://host:port/path or https://…, was {url[:100]!r}")
    if allow_remote or _is_loopback(host):
        return
    raise ValueError(
        f"{host[:100]} is not this machine, and a load may harm what others run there: use an address of 127.0.0.1, "
        "or --allow-remote for a machine that is yours to load"
    )


def _is_loopback(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return all(ipaddress.ip_address(address[0]).is_loopback for *_, address in found)
