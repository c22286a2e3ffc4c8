"""Reading a request's parameters as Binance does: each mistake has its error code."""

from __future__ import annotations

import re
from collections.abc import Mapping

_INTEGER = re.compile(r"[0-9]{1,20}")


class RefusedRequestError(Exception):
    """A request that Binance answers with HTTP 400 and this code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


def required(query: Mapping[str, str], name: str) -> str:
    """Return a parameter that must be there (-1102 otherwise)."""
    value = query.get(name, "")
    if not value:
        raise RefusedRequestError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return value


def integer(query: Mapping[str, str], name: str) -> int | None:
    """Return a whole number, or None when it was not sent (-1100 when it is no number)."""
    value = query.get(name)
    if value is None:
        return None
    if _INTEGER.fullmatch(value) is None:
        raise RefusedRequestError(
            -1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
        )
    return int(value)


def only(query: Mapping[str, str], known: frozenset[str]) -> None:
    """Refuse parameters that nobody reads (-1104)."""
    unread = len(query.keys() - known)
    if unread:
        raise RefusedRequestError(
            -1104,
            "Not all sent parameters were read; "
            f"read '{len(query) - unread}' parameter(s) but was sent '{len(query)}'.",
        )
