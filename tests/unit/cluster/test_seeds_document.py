"""`docs/seeds.md` sends no reader to a file that is not there, and claims nothing twice."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
DOCUMENT = (REPOSITORY / "docs/seeds.md").read_text()
ROWS = [line for line in DOCUMENT.splitlines() if line.startswith("| ") and not line.startswith(("| Feature", "| ---"))]
NOT_BUILT = "*not built yet*"


def paths(text: str) -> list[str]:
    """Return what stands in backticks and looks like a path of the repository; not one of a URL, and no metric."""
    found = re.findall(r"`([^`]+)`", text)
    return [one for one in found if re.fullmatch(r"[\w.-]+(/[\w.-]+)+|Dockerfile|requirements\.lock", one)]


def test_every_path_that_is_named_exists() -> None:
    named = [path for row in ROWS for path in paths(row.split(" | ", 1)[1])]
    assert len(named) > 150
    assert [path for path in named if not (REPOSITORY / path).exists()] == []


def test_every_row_names_a_file_or_says_why_there_is_none() -> None:
    for row in ROWS:
        answer = row.split(" | ", 1)[1]
        reason = any(word in answer for word in ("replaced", NOT_BUILT, "not needed", "docs/", "nothing to say"))
        assert paths(answer) or reason, row


def test_a_feature_is_told_once_in_its_guide() -> None:
    for part in DOCUMENT.split("\n## ")[1:]:
        features = [line.split(" | ", 1)[0] for line in part.splitlines() if line in ROWS]
        assert len(features) == len(set(features))
