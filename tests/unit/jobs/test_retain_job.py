"""The retention job says what is wrong before it asks a server, and how it is used."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

import ray_jobs.retain
from alpharay.settings import Settings
from ray_jobs.retain import app


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--keep-days", "30"), "keep-days must be 0 or at least 31, was 30"),
        (("--keep-days", "-365"), "keep-days must be 0 or at least 31, was -365"),
        (("--keep-backtests", "7"), "keep-backtests must be 0 or at least 14, was 7"),
        (("--below", "1w"), "timeframe must be a number and m, h or d (such as 1m, 4h, 1d), was '1w'"),
        (("--months-ahead", "61"), "--months-ahead"),
        ((), "ALPHARAY_DATABASE_URL is not set"),
        (("--dry-run", "--keep-days", "0"), "ALPHARAY_DATABASE_URL is not set"),
    ],
)
def test_what_cannot_be_kept_is_said(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str) -> None:
    monkeypatch.setattr(ray_jobs.retain, "settings", lambda: Settings(database_url=None))
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 2
    assert message in result.stderr


def test_the_help_of_retention_has_examples() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "python -m ray_jobs.retain --dry-run" in result.stdout
    assert "python -m ray_jobs.retain --keep-days 730 --below 1h --json" in result.stdout
