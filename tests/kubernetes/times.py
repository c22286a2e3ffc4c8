"""The times that the tests of the node saw, in one file that the documents are written from."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / ".alpharay" / "kubernetes-times.json"


def record(what: str, **figures: object) -> None:
    """Keep the figures of one event beside those of the others; seconds are rounded to tenths."""
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    rounded = {name: round(value, 1) if isinstance(value, float) else value for name, value in figures.items()}
    known[what] = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **rounded}
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
