"""What a running server was started with, so that one started on other terms is not adopted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

TERMS_FILE = "terms"


def keep_terms(folder: Path, terms: Mapping[str, str] | Sequence[str]) -> None:
    """Remember the terms of the part's server; only their hash, because they may hold passwords."""
    (folder / TERMS_FILE).write_text(_hash(terms))


def on_same_terms(folder: Path, terms: Mapping[str, str] | Sequence[str]) -> bool:
    """Tell whether the part's server was last started on these terms."""
    try:
        return (folder / TERMS_FILE).read_text() == _hash(terms)
    except FileNotFoundError:
        return False


def _hash(terms: Mapping[str, str] | Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(terms, sort_keys=True).encode()).hexdigest()
