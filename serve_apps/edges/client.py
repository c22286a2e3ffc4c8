"""Who calls: a key, a token or an address."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.types import Scope

READ, TRADE, ADMIN = "read", "trade", "admin"
SCOPES = (READ, TRADE, ADMIN)
"""What a client may be allowed to: see, place orders, change limits and switches. None of them includes another."""


@dataclass(frozen=True, slots=True)
class Client:
    """A caller under the name that its requests are counted and logged by."""

    name: str
    """`key:NAME`, `token:SUBJECT` or `address:ADDRESS`."""
    scopes: frozenset[str]


def header(scope: Scope, name: bytes) -> str | None:
    """Return the first value of a request's header, named in lower case; None without one."""
    for known, value in scope["headers"]:
        if known == name:
            return str(value, "latin-1")
    return None


def client_address(scope: Scope, trusted_proxies: int) -> str:
    """Return the address that a request comes from.

    Each proxy appends the address of its own client to X-Forwarded-For, so of `trusted_proxies` proxies the first one
    wrote the entry at that place from the right; what stands left of it is the client's own claim.
    """
    peer = scope.get("client")
    address = str(peer[0]) if peer else "unknown"
    if trusted_proxies:
        told = [
            one.strip()
            for name, value in scope["headers"]
            if name == b"x-forwarded-for"
            for one in value.decode("latin-1").split(",")
        ]
        if len(told) >= trusted_proxies:
            return str(told[-trusted_proxies])
    return address


@lru_cache(maxsize=4096)
def is_loopback(address: str) -> bool:
    """Whether an address is this machine's own."""
    known = _parsed(address)
    return known is not None and known.is_loopback


@lru_cache(maxsize=4096)
def address_client(address: str, scopes: tuple[str, ...] = ()) -> Client:
    """Return the client behind an address; all of an IPv6 network of 64 bits is one, since one host owns it."""
    known = _parsed(address)
    if isinstance(known, IPv6Address):
        shown = str(ip_network((known, 64), strict=False))
    else:
        shown = str(known) if known is not None else address[:64]
    return Client(f"address:{shown}", frozenset(scopes))


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        known = ip_address(address)
    except ValueError:
        return None
    mapped = known.ipv4_mapped if isinstance(known, IPv6Address) else None
    return mapped or known
