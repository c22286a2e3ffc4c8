"""The calibration job's rounds, without a database: what it survives and what ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from typer.testing import CliRunner

import ray_jobs.calibrate
import ray_jobs.market_discovery


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, int]]:
    """Return a function that runs the job with these outcomes of its rounds: exit code, errors, rounds."""

    @contextmanager
    def no_pool(*_: object) -> Iterator[None]:
        yield None

    def runs(outcomes: list[BaseException | None], *arguments: str) -> tuple[int, str, int]:
        left = list(outcomes)

        def one_round(*_: object, **__: object) -> None:
            outcome = left.pop(0)
            if outcome is not None:
                raise outcome

        monkeypatch.setattr(ray_jobs.market_discovery, "discovery_pool", no_pool)
        monkeypatch.setattr(ray_jobs.calibrate, "_round", one_round)
        result = CliRunner().invoke(ray_jobs.calibrate.app, [*arguments, "--minutes", "0.01"])
        return result.exit_code, result.stderr, len(outcomes) - len(left)

    return runs


def test_forever_survives_a_lost_database_and_ends_with_ctrl_c(run: Callable[..., tuple[int, str, int]]) -> None:
    code, told, rounds = run([psycopg.OperationalError("cut"), None, KeyboardInterrupt()], "--forever")
    assert (code, rounds) == (0, 3)
    assert "Ctrl-C: what was fitted is stored" in told


def test_forever_ends_with_an_error_that_time_does_not_heal(run: Callable[..., tuple[int, str, int]]) -> None:
    code, told, rounds = run([LookupError("no candles of any market are stored"), None], "--forever")
    assert (code, rounds) == (2, 1)
    assert "error: no candles of any market" in told


def test_a_single_round_does_not_hide_a_lost_database(run: Callable[..., tuple[int, str, int]]) -> None:
    code, _, rounds = run([psycopg.OperationalError("cut"), None])
    assert (code, rounds) == (1, 1)
