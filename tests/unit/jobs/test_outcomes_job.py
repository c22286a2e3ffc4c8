"""The outcomes job says what is wrong before it asks a server, and how it is used."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

import ray_jobs.outcomes
from alpharay.settings import Settings
from ray_jobs.outcomes import app


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--keep-days", "3"), "keep-days must be 0 or at least 15, was 3"),
        (("--fee", "0.7"), "fee must be in [0, 0.5), was 0.7"),
        (("--symbol", "SOL USD"), "symbol must look like"),
        ((), "ALPHARAY_DATABASE_URL is not set"),
    ],
)
def test_what_cannot_be_done_is_said(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str) -> None:
    monkeypatch.setattr(ray_jobs.outcomes, "settings", lambda: Settings(database_url=None))
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 2
    assert message in result.stderr


def test_the_help_has_examples() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "python -m ray_jobs.outcomes --symbol SOL --timeframe 1h --horizon 12 --json" in result.stdout
