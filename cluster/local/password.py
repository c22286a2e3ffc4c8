"""Passwords of the local servers: made once, kept in a file that only its owner reads."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

PASSWORD_FILE = "password"  # noqa: S105 - the name of the file


def password(folder: Path) -> str:
    """Return the part's password, made on first use and safe inside a URL."""
    file = folder / PASSWORD_FILE
    try:
        kept = file.read_text().strip()
    except FileNotFoundError:
        kept = ""
    if kept:
        return kept
    made = secrets.token_urlsafe(24)
    draft = file.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        output.write(made)
    draft.replace(file)
    return made
