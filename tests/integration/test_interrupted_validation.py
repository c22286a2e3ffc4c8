"""Validations that die, are interrupted or vanish end as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from candle_stream import wait_until
from conftest import REPOSITORY, Stack
from validation_stack import (  # noqa: F401 - fixtures are found by their names
    SEEN_BARS,
    SETTINGS,
    discover_and_store,
    expected_evidence,
    noise,
    pool,
    the_strategy,
    validate,
    waves,
)

from alpharay.discovery.evaluation import SerialExecutor
from alpharay.store.alpha_ledger import ledger_entries
from alpharay.store.database import DatabasePool
from alpharay.store.strategies import StoredStrategy
from alpharay.store.validations import discovery_of, validations_of
from alpharay.validation.validation import ValidationSettings, validate_strategy, validation_json
from alpharay.validation.walk_forward import WalkForwardSettings
from benchmarks.signal_data import store_candles
from ray_jobs.strategy_validation import (
    InterruptedValidation,
    subject_of,
    validate_stored,
)

pytestmark = pytest.mark.timeout(300)


class CrashedError(BaseException):
    """What a killed process looks like from inside: nothing after it runs."""


def test_a_validation_that_died_at_any_point_ends_the_same_when_it_is_run_again(
    database: str, pool: DatabasePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    candles = waves()
    discover_and_store(database, pool, candles)
    expected = expected_evidence(pool, candles)
    stored = the_strategy(pool)

    class DiesAfter(SerialExecutor):
        """Dies at the given call, wherever in the validation that is."""

        def __init__(self, calls: int) -> None:
            self.calls = calls

        def __call__(self, function: Any, items: Any) -> Any:
            self.calls -= 1
            if self.calls < 0:
                raise CrashedError
            return super().__call__(function, items)

    def finish_late(*arguments: object, **named: object) -> None:
        raise CrashedError

    # In the permutations, in the diagnostics, and after the draw but before the end is stored.
    for calls in (40, 202, 10_000):
        with monkeypatch.context() as patch:
            patch.setattr("ray_jobs.strategy_validation.finish_validation", finish_late)
            with pytest.raises(CrashedError):
                validate_stored(pool, DiesAfter(calls), f"dying-{calls}", stored, SETTINGS)
        assert validate(pool, "too-early") == [], "the lease is still held"
        with pool.connection() as connection:
            connection.execute("UPDATE validations SET lease_until = now() - interval '1 s', attempts = 1")
    assert validate(pool, "survivor") == ["VALIDATED"]
    with pool.connection() as connection:
        (found,) = validations_of(connection, stored.strategy_id)
        assert len(ledger_entries(connection, "simulated", "AAA/USD")) == 1
        assert connection.execute("SELECT count(*) FROM validation_tests").fetchone() == (1,)
    assert found.evidence == expected


def test_an_interrupted_validation_is_gone_on_with_from_its_permutations(database: str, pool: DatabasePool) -> None:
    candles = waves()
    discover_and_store(database, pool, candles)
    expected = expected_evidence(pool, candles)
    stored = the_strategy(pool)

    def interrupt(gate: str, done: int, of: int) -> None:
        if gate == "permutation" and done == 25:
            raise InterruptedValidation

    with pytest.raises(InterruptedValidation):
        validate_stored(pool, SerialExecutor(), "first", stored, SETTINGS, on_progress=interrupt)
    told: list[int] = []
    ended = validate_stored(
        pool, SerialExecutor(), "second", stored, SETTINGS, on_progress=lambda _gate, done, _of: told.append(done)
    )
    assert told[0] == 25, "the permutations of the first are not made again"
    assert ended.evidence == expected


def test_a_validation_interrupted_before_its_first_permutation_is_given_back_at_once(
    database: str, pool: DatabasePool
) -> None:
    discover_and_store(database, pool, noise())
    stored = the_strategy(pool)

    def interrupt(_stored: StoredStrategy) -> None:
        raise InterruptedValidation

    with pytest.raises(InterruptedValidation):
        validate_stored(pool, SerialExecutor(), "first", stored, SETTINGS, on_begin=interrupt)
    assert validate(pool, "second") == ["REJECTED"]


def test_a_strategy_whose_validator_vanished_again_and_again_is_given_a_new_start_only_on_newer_candles(
    database: str, pool: DatabasePool
) -> None:
    candles = waves()
    discover_and_store(database, pool, candles, until=SEEN_BARS + 100)
    stored = the_strategy(pool)

    class Dies(SerialExecutor):
        def __call__(self, _function: Any, _items: Any) -> Any:
            raise CrashedError

    for _ in range(3):
        with pytest.raises(CrashedError):
            validate_stored(pool, Dies(), "dying", stored, SETTINGS)
        with pool.connection() as connection:
            connection.execute("UPDATE validations SET lease_until = now() - interval '1 s'")
    assert validate(pool) == []
    with pool.connection() as connection:
        (failed,) = validations_of(connection, stored.strategy_id)
    assert (failed.status, "vanished 3 times" in (failed.error or "")) == ("FAILED", True)
    store_candles(database, candles)
    assert validate(pool) == ["VALIDATED"]


def job(stack: Stack, database: str, *arguments: str, out: int | None = subprocess.PIPE) -> subprocess.Popen[str]:
    """Start the job as a user does."""
    environment = {
        **os.environ,
        "ALPHARAY_DATABASE_URL": database,
        "ALPHARAY_KAFKA_BOOTSTRAP_SERVERS": stack.kafka_bootstrap_servers,
        "PYTHONUNBUFFERED": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "ray_jobs.validate", "--workers", "0", *arguments],
        cwd=REPOSITORY, env=environment, stdout=out, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def running_permutations(pool: DatabasePool) -> bool:
    with pool.connection() as connection:
        row = connection.execute("SELECT count(*) FROM validations WHERE status = 'RUNNING'").fetchone()
    return row == (1,)


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_the_job_killed_or_interrupted_in_the_middle_is_gone_on_with_by_the_next(
    stack: Stack, database: str, pool: DatabasePool, tmp_path: Path, ending: signal.Signals
) -> None:
    candles = waves()
    discover_and_store(database, pool, candles)
    options = ("--windows", "3", "--permutations", "400", "--symbol", "AAA", "--json", "--evidence")
    with job(stack, database, *options) as first:
        wait_until(lambda: running_permutations(pool), "a validation runs")
        first.send_signal(ending)
        output, errors = first.communicate(timeout=60)
    if ending == signal.SIGINT:
        assert first.returncode == 0, errors
        assert "Ctrl-C" in errors
        assert json.loads(output) == []
    with job(stack, database, *options) as second:
        output, errors = second.communicate(timeout=200)
    assert second.returncode == 0, errors
    (ended,) = json.loads(output)
    assert ended["status"] in ("VALIDATED", "INSUFFICIENT"), ended["text"]
    with pool.connection() as connection:
        stored = the_strategy(pool)
        (found,) = validations_of(connection, stored.strategy_id)
        subject = subject_of(stored, discovery_of(connection, stored))
    assert ended["evidence"] == found.evidence
    settings = ValidationSettings(permutations=400, walk_forward=WalkForwardSettings(windows=3))
    undisturbed = validate_strategy(subject, candles, settings)
    assert found.evidence["permutation"] == validation_json(undisturbed)["permutation"]
    assert found.evidence["walk_forward"] == validation_json(undisturbed)["walk_forward"]
