"""API keys: `NAME.SECRET` at the client, the SHA-256 digest of it here."""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from serve_apps.edges.client import SCOPES, Client
from serve_apps.service_log import log

RELOAD_S = 1.0
_LINE = re.compile(r"(?P<name>[A-Za-z0-9_-]{1,64})\s+(?P<scopes>[a-z,]+)\s+(?P<digest>[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept: nobody can call with it."""

    client: Client
    digest: bytes


_NO_KEY = ApiKey(Client("key:", frozenset()), bytes(32))


class ApiKeys:
    """The keys of a text and of a file; the file is read again when it changes, so that a key can be withdrawn."""

    def __init__(
        self, text: str = "", file: Path | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fixed = parse_keys(text, "ALPHARAY_API_KEYS")
        self._file = file
        self._clock = clock
        self._check_at = clock() + RELOAD_S
        self._version = None if file is None else _version(file)
        self._keys = self._fixed if file is None else {**self._fixed, **_read(file)}
        # Keys that were presented and found, at most as many as there are: to digest one costs as much as all else.
        self._found: dict[str, Client] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, presented: str) -> Client | None:
        """Return the client whose key was presented; None when there is no such key."""
        self._reload()
        found = self._found.get(presented)
        if found is not None:
            return found
        name = presented.partition(".")[0]
        digest = sha256(presented.encode("utf-8", "surrogatepass")).digest()
        known = self._keys.get(name, _NO_KEY)
        # An unknown name takes as long as a wrong secret.
        if not hmac.compare_digest(digest, known.digest):
            return None
        self._found[presented] = known.client
        return known.client

    def _reload(self) -> None:
        if self._file is None or self._clock() < self._check_at:
            return
        self._check_at = self._clock() + RELOAD_S
        try:
            version = _version(self._file)
            if version != self._version:
                self._keys = {**self._fixed, **_read(self._file)}
                self._found.clear()
                self._version = version
                log.info("API keys read again", extra={"keys": len(self._keys)})
        except (OSError, ValueError) as error:
            # A file that is being written must not lock everyone out: the keys known before go on.
            log.warning("API keys were not read again", extra={"error": str(error)})


def new_key(name: str, scopes: Iterable[str]) -> tuple[str, str]:
    """Return a new key for the client and the line that the keys file needs; raises ValueError for a wrong name."""
    key = f"{name}.{secrets.token_urlsafe(32)}"
    line = f"{name} {','.join(scopes)} {sha256(key.encode()).hexdigest()}"
    parse_keys(line, "the new key")
    return key, line


def parse_keys(text: str, source: str) -> Mapping[str, ApiKey]:
    """Return the keys by name: one `NAME SCOPE[,SCOPE] SHA256` a line or between semicolons; `#` begins a comment.

    Raises ValueError, naming the line, for anything else.
    """
    keys: dict[str, ApiKey] = {}
    for number, line in enumerate(re.split(r"[\n;]", text), 1):
        written = line.partition("#")[0].strip()
        if not written:
            continue
        # What is written is not shown: somebody may have put a key where its digest belongs.
        found = _LINE.fullmatch(written)
        if found is None:
            raise ValueError(f"{source}, line {number}: must be `NAME SCOPE[,SCOPE] SHA256-OF-KEY` in lower-case hex")
        scopes = found["scopes"].split(",")
        unknown = sorted(set(scopes) - set(SCOPES))
        if unknown:
            raise ValueError(f"{source}, line {number}: scopes are {', '.join(SCOPES)}, was {unknown[0]!r}")
        if found["name"] in keys:
            raise ValueError(f"{source}, line {number}: {found['name']!r} is there twice")
        client = Client(f"key:{found['name']}", frozenset(scopes))
        keys[found["name"]] = ApiKey(client, bytes.fromhex(found["digest"]))
    return keys


def _read(file: Path) -> Mapping[str, ApiKey]:
    return parse_keys(file.read_text(encoding="utf-8"), str(file))


def _version(file: Path) -> tuple[int, int, int]:
    told = file.stat()
    return told.st_mtime_ns, told.st_size, told.st_ino
