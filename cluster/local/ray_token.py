"""The token of the local Ray head: who may start work on it, beside those who merely reach its ports.

Anyone who reaches a head's sockets may run code as its user, and on this machine that is every other user. So the
head, its workers and its clients share a token, in a file that only the owner reads.
"""

from __future__ import annotations

from pathlib import Path

from cluster.local.password import PASSWORD_FILE, password


def claim_token(folder: Path) -> Path:
    """Return the file with the head's token, made on first use."""
    folder.mkdir(parents=True, exist_ok=True)
    password(folder)
    return folder / PASSWORD_FILE


def known_token(folder: Path) -> Path | None:
    """Return the file with the head's token; None when it was never made. A head that asks for none ignores it."""
    file = folder / PASSWORD_FILE
    return file if file.is_file() else None


def authorization(token_file: Path | None) -> dict[str, str]:
    """Return the header that the dashboard and the Jobs API of a head with this token ask for; none without one."""
    return {} if token_file is None else {"Authorization": f"Bearer {token_file.read_text().strip()}"}
