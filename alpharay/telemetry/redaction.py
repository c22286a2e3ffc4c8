"""Secrets out of texts that are logged, wherever they came from: settings, errors of libraries, addresses."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from alpharay.settings import Settings

HIDDEN = "***"
SHORTEST = 6
"""A shorter secret is no secret, and hiding it would make holes in other words."""

LONG_PART = 24
"""From so many characters on, a word of a secret of several, such as a key's digest, is hidden alone too."""

_IN_ADDRESS = re.compile(r"(://[^/\s:@]*:)[^\s/]+(?=@)")
_BY_NAME = re.compile(
    r"((?:authorization|x-api-key)['\"]?\s*[:=]\s*['\"]?(?:bearer\s+|basic\s+)?|"
    r"(?:password|passwd|secret|api[_-]?key|access[_-]?token)['\"]?\s*[:=]\s*['\"]?)[^\s,;'\"&}]+",
    re.IGNORECASE,
)
_HINTS = ("://", "passw", "secret", "key", "token", "authoriz")
"""Without one of these the slower searches can find nothing."""


class Redaction:
    """Hides given secrets, passwords in addresses, and what follows words such as `password=`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {secret for secret in secrets if len(secret) >= SHORTEST}
        # The longest first: one may be a part of another.
        self._secrets = tuple(sorted(known, key=len, reverse=True))

    def hide(self, text: str) -> str:
        """Return the text without secrets."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, HIDDEN)
        folded = text.casefold()
        if any(hint in folded for hint in _HINTS):
            text = _IN_ADDRESS.sub(rf"\1{HIDDEN}", text)
            text = _BY_NAME.sub(rf"\1{HIDDEN}", text)
        return text

    def hide_in(self, value: object) -> object:
        """Return a value as it may be logged: texts without secrets, also inside lists and mappings."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, (bool, int, float, type(None))):
            return value
        if isinstance(value, dict):
            return {name: self.hide_in(one) for name, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.hide_in(one) for one in value]
        return self.hide(str(value))


def secrets_of(current: Settings) -> frozenset[str]:
    """Return the secrets that the settings hold: whole values, and the passwords in addresses."""
    found = set()
    for name in type(current).model_fields:
        value = getattr(current, name)
        if isinstance(value, SecretStr):
            text = value.get_secret_value()
            found.add(text)
            found |= {part for part in re.split(r"[\s;]+", text) if len(part) >= LONG_PART}
            found |= _passwords(text)
            if name == "otlp_headers":
                values = [part.partition("=")[2].strip() for part in text.split(",")]
                # With and without the scheme that may stand before it.
                found |= {*values, *(value.split()[-1] for value in values if value)}
    return frozenset(found)


def _passwords(text: str) -> set[str]:
    try:
        password = urlsplit(text).password
    except ValueError:
        # No address at all.
        return set()
    return set() if not password else {password, unquote(password)}
