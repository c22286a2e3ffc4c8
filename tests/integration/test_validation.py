"""Strategies from candidate to verdict on a real database: evidence, steps, the ledger, and killed jobs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from candle_stream import wait_until
from conftest import REPOSITORY, Stack

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import FeeTier, Frictions, frictions_to_json
from alpharay.discovery.evaluation import SerialExecutor
from alpharay.discovery.search import SearchSettings, discover
from alpharay.market.candles import Candles
from alpharay.market.resampling import resample
from alpharay.store.alpha_ledger import draw_interval, ledger_entries
from alpharay.store.candle_rows import Market
from alpharay.store.database import DatabasePool, open_pool
from alpharay.store.migrate import migrate
from alpharay.store.runs import enqueue_run
from alpharay.store.signal_snapshots import SignalSnapshots
from alpharay.store.strategies import StoredStrategy, best_strategies, store_strategy
from alpharay.store.strategy_status import IllegalStepError, change_status, transitions
from alpharay.store.validation_tests import next_level, record_test
from alpharay.store.validations import discovery_of, find_strategy, validations_of
from alpharay.strategies.catalogue import strategy_named
from alpharay.validation.configuration import LastGate
from alpharay.validation.ledger import Interval
from alpharay.validation.validation import ValidationSettings, validate_strategy, validation_json
from alpharay.validation.walk_forward import WalkForwardSettings
from benchmarks.signal_data import store_candles
from ray_jobs.discovery_messages import champion_messages, discovery_request
from ray_jobs.strategy_validation import (
    InterruptedValidation,
    subject_of,
    validate_stored,
    validate_waiting,
    waiting_strategies,
)

pytestmark = pytest.mark.timeout(300)

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 470_000 * HOUR_MS
SEEN_BARS = 1_800
STRATEGY = strategy_named("DOUBLE_EMA_CROSSOVER")
SEARCH = SearchSettings(population=6, generations=2, min_trades=3, top_n=2, seed=2)
SETTINGS = ValidationSettings(
    permutations=199,
    walk_forward=WalkForwardSettings(windows=3),
    last_gate=LastGate(min_trades=5, min_days=20, permutations=19, level=0.3),
    sampled_trials=24,
)


def candles_of(moves: np.ndarray, symbol: str) -> Candles:
    close = 100.0 * np.exp(moves)
    opened = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
    times = START_MS + np.arange(len(close), dtype=np.int64) * HOUR_MS
    return Candles("simulated", symbol, "1h", times, opened, high, low, close, np.full(len(close), 100.0))


def waves(symbol: str = "AAA/USD", bars: int = 3_000) -> Candles:
    """A market on which a trend follower earns."""
    noise = np.random.default_rng(0).normal(0.0, 0.004, bars)
    return candles_of(0.2 * np.sin(2.0 * np.pi * np.arange(bars) / 120) + noise, symbol)


def noise(symbol: str = "BBB/USD", bars: int = 3_000) -> Candles:
    return candles_of(np.cumsum(np.random.default_rng(8).normal(0.0, 0.01, bars)), symbol)


@pytest.fixture
def pool(database: str) -> Iterator[DatabasePool]:
    migrate(database)
    with open_pool(database, application="validation-test", max_connections=8) as pool:
        yield pool


def discover_and_store(
    database: str,
    pool: DatabasePool,
    candles: Candles,
    *,
    until: int | None = None,
    search: SearchSettings = SEARCH,
    frictions: Frictions | None = None,
) -> None:
    """Store the candles before row `until`, and what a search of the first `SEEN_BARS` finds."""
    store_candles(database, candles.slice(0, until if until is not None else len(candles)))
    market = Market(candles.exchange, candles.symbol, candles.timeframe)
    report = discover(STRATEGY, candles.slice(0, SEEN_BARS), search, frictions=frictions)
    request = discovery_request(
        market, start_time=START_MS, end_time=START_MS + SEEN_BARS * HOUR_MS, strategy_name=STRATEGY.name,
        settings=search, costs=Costs(), frictions=frictions,
    )  # fmt: skip
    with pool.connection() as connection:
        enqueue_run(connection, request)
        store_strategy(connection, champion_messages(request, report)[0])


def the_strategy(pool: DatabasePool) -> StoredStrategy:
    with pool.connection() as connection:
        (stored,) = best_strategies(connection)
    return stored


def validate(pool: DatabasePool, owner: str = "validator") -> list[str]:
    waiting = waiting_strategies(pool)
    return [item.status for item in validate_waiting(pool, SerialExecutor(), owner, waiting, SETTINGS)]


def expected_evidence(pool: DatabasePool, candles: Candles) -> dict[str, Any]:
    """What an undisturbed validation without a database says."""

    class FirstOfStream:
        def next_level(self) -> float:
            with pool.connection() as connection:
                return next_level(connection, "unknown")

        def record(self, _p_value: float) -> float:
            return self.next_level()

    stored = the_strategy(pool)
    with pool.connection() as connection:
        subject = subject_of(stored, discovery_of(connection, stored))
    return validation_json(validate_strategy(subject, candles, SETTINGS, stream=FirstOfStream()))


def test_a_real_edge_is_validated_with_its_evidence_its_step_and_its_interval(
    database: str, pool: DatabasePool
) -> None:
    candles = waves()
    discover_and_store(database, pool, candles)
    expected = expected_evidence(pool, candles)
    assert validate(pool) == ["VALIDATED"]
    stored = the_strategy(pool)
    with pool.connection() as connection:
        (found,) = validations_of(connection, stored.strategy_id)
        (step,) = transitions(connection, stored.strategy_id)
        (drawn,) = ledger_entries(connection, "simulated", "AAA/USD")
        tests = connection.execute("SELECT position, test_id, discovery FROM validation_tests").fetchall()
    assert stored.status == found.status == "VALIDATED"
    assert found.evidence == expected
    assert [gate["outcome"] for gate in found.reasons or ()] == ["passed"] * 6
    assert found.run_id is not None
    assert (step.from_status, step.to_status, step.actor) == ("CANDIDATE", "VALIDATED", "validator")
    assert step.validation_id == found.validation_id
    assert "every gate passed" in step.reason
    assert drawn.interval.start == START_MS + SEEN_BARS * HOUR_MS
    assert tests == [(1, found.test_id, True)]
    assert validate(pool) == [], "nothing is left to validate"


def test_what_was_found_with_frictions_on_resampled_candles_is_validated_with_them_and_on_these(
    database: str, pool: DatabasePool
) -> None:
    candles = waves()
    frictions = Frictions(fee_tiers=(FeeTier(volume=0.0, fee=0.002),), tick_size=0.01, lot_size=0.1)
    search = replace(SEARCH, timeframes=("2h",), patience=4)
    discover_and_store(database, pool, candles, search=search, frictions=frictions)
    assert the_strategy(pool).timeframe == "2h"
    expected = expected_evidence(pool, resample(candles, "2h"))
    (status,) = validate(pool)
    assert status in ("VALIDATED", "INSUFFICIENT")
    with pool.connection() as connection:
        (found,) = validations_of(connection, the_strategy(pool).strategy_id)
    assert found.evidence == expected
    assert expected["frictions"] == frictions_to_json(frictions)
    assert expected["timeframe"] == "2h"


def test_noise_is_rejected_and_nothing_is_drawn_for_it(database: str, pool: DatabasePool) -> None:
    discover_and_store(database, pool, noise())
    assert validate(pool) == ["REJECTED"]
    with pool.connection() as connection:
        assert ledger_entries(connection, "simulated", "BBB/USD") == []
        (found,) = validations_of(connection, the_strategy(pool).strategy_id)
    assert "Rejected" in (found.summary or "")


def test_what_waits_for_newer_candles_is_insufficient_until_they_come_and_stays_one_test(
    database: str, pool: DatabasePool
) -> None:
    candles = waves()
    discover_and_store(database, pool, candles, until=SEEN_BARS + 100)
    assert validate(pool) == ["INSUFFICIENT"]
    assert validate(pool) == [], "the same candles say the same"
    store_candles(database, candles)
    assert validate(pool) == ["VALIDATED"]
    stored = the_strategy(pool)
    with pool.connection() as connection:
        newer, older = validations_of(connection, stored.strategy_id)
        count = connection.execute("SELECT count(*) FROM validation_tests").fetchone()
        steps = [(step.from_status, step.to_status) for step in transitions(connection, stored.strategy_id)]
    assert newer.test_id == older.test_id
    assert newer.evidence["permutation"] == older.evidence["permutation"]
    assert count == (1,)
    assert steps == [("CANDIDATE", "INSUFFICIENT"), ("INSUFFICIENT", "VALIDATED")]


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


def test_two_validators_share_the_strategies_and_neither_does_anothers(database: str, pool: DatabasePool) -> None:
    for candles in (waves("AAA/USD"), noise("BBB/USD"), waves("CCC/USD")):
        discover_and_store(database, pool, candles)
    ended: list[tuple[str, str]] = []

    def work(owner: str) -> None:
        found = validate_waiting(pool, SerialExecutor(), owner, waiting_strategies(pool), SETTINGS)
        ended.extend((item.stored.symbol, item.status) for item in found)

    threads = [threading.Thread(target=work, args=(f"validator-{number}",)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=200)
    assert sorted(symbol for symbol, _ in ended) == ["AAA/USD", "BBB/USD", "CCC/USD"]
    with pool.connection() as connection:
        attempts = connection.execute("SELECT sum(attempts), count(*) FROM validations").fetchone()
        positions = connection.execute("SELECT position FROM validation_tests ORDER BY position").fetchall()
    assert attempts == (3, 3)
    assert positions == [(1,), (2,), (3,)]


def _candidates(pool: DatabasePool, count: int) -> list[str]:
    """Store plain candidates of one market."""
    with pool.connection() as connection:
        for number in range(count):
            connection.execute(
                "INSERT INTO strategies (strategy_id, exchange, symbol, timeframe, strategy_name, strategy, "
                "parameters, score, in_sample, out_of_sample, start_time, end_time, train_end_time) "
                "VALUES (%s, 'simulated', 'AAA/USD', '1h', 'X', '{}', '{}', 1, '{}', '{}', 0, 2, 1)",
                (f"strategy-{number}",),
            )
    return [f"strategy-{number}" for number in range(count)]


def test_nobody_draws_what_another_has_drawn_however_many_draw_at_once(pool: DatabasePool) -> None:
    strategies = _candidates(pool, 12)
    within = Interval(0, 200 * DAY_MS)
    drawn: dict[str, Interval | None] = {}

    def first_thirty_days(left: Sequence[Interval]) -> Interval | None:
        return next((Interval(one.start, one.start + 30 * DAY_MS) for one in left if one.days >= 30), None)

    def draw(strategy_id: str) -> None:
        with pool.connection() as connection:
            drawn[strategy_id] = draw_interval(
                connection, exchange="simulated", symbol="AAA/USD", test_id=f"test-{strategy_id}",
                strategy_id=strategy_id, within=within, choose=first_thirty_days,
            )  # fmt: skip

    threads = [threading.Thread(target=draw, args=(strategy_id,)) for strategy_id in strategies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    taken = sorted(interval for interval in drawn.values() if interval is not None)
    assert len(drawn) == 12
    assert taken == [Interval(30 * n * DAY_MS, 30 * (n + 1) * DAY_MS) for n in range(6)]
    before = dict(drawn)
    for strategy_id in strategies:
        draw(strategy_id)
    assert drawn == before, "asking again gives the same and takes no more"


def test_the_database_itself_refuses_a_second_use_and_knows_markets_apart(pool: DatabasePool) -> None:
    strategies = _candidates(pool, 4)
    insert = (
        "INSERT INTO alpha_ledger (test_id, strategy_id, market_id, start_time, end_time) "
        "VALUES (%s, %s, (SELECT market_id FROM alpha_ledger_markets WHERE symbol = %s), %s, %s)"
    )
    with pool.connection() as connection:
        connection.execute("INSERT INTO alpha_ledger_markets (exchange, symbol) VALUES ('x', 'AAA'), ('x', 'BBB')")
        connection.execute(insert, ("a", strategies[0], "AAA", 100, 200))
        connection.execute(insert, ("b", strategies[1], "BBB", 100, 200))
        connection.execute(insert, ("c", strategies[2], "AAA", 200, 300))
    with pytest.raises(psycopg.errors.ExclusionViolation), pool.connection() as connection:
        connection.execute(insert, ("d", strategies[3], "AAA", 199, 201))


def test_a_test_keeps_its_place_and_level_and_later_ones_build_on_it(pool: DatabasePool) -> None:
    strategies = _candidates(pool, 3)
    with pool.connection() as connection:
        first = next_level(connection, "one")
        assert record_test(connection, "one", strategies[0], 0.0001) == first
        second = record_test(connection, "two", strategies[1], 0.9)
        assert second > first, "a discovery earns the next test a higher level"
        assert record_test(connection, "one", strategies[0], 0.5) == first
        assert next_level(connection, "two") == second
        assert next_level(connection, "three") < second


def test_a_status_takes_only_legal_steps_and_each_is_noted_whoever_takes_it(pool: DatabasePool) -> None:
    one, two = _candidates(pool, 2)
    with pool.connection() as connection:
        with pytest.raises(IllegalStepError, match="from CANDIDATE to DEPLOYED"):
            change_status(connection, one, "DEPLOYED", actor="a", reason="hurry")
        assert change_status(connection, one, "VALIDATED", actor="validator", reason="it passed")
        assert not change_status(connection, one, "VALIDATED", actor="validator", reason="again")
        change_status(connection, one, "DEPLOYED", actor="rotation", reason="best of its market")
        connection.execute("UPDATE strategies SET status = 'RETIRED' WHERE strategy_id = %s", (one,))
        change_status(connection, two, "REJECTED", actor="validator", reason="luck")
        found = transitions(connection, one)
        assert [(step.to_status, step.actor) for step in found[:2]] == [
            ("VALIDATED", "validator"), ("DEPLOYED", "rotation"),
        ]  # fmt: skip
        assert (found[2].to_status, found[2].reason) == ("RETIRED", "no reason was given")
        with pytest.raises(LookupError, match="no strategy nobody"):
            change_status(connection, "nobody", "VALIDATED", actor="a", reason="b")
    for final, to_status in ((one, "CANDIDATE"), (two, "VALIDATED")):
        with pytest.raises(psycopg.errors.CheckViolation), pool.connection() as connection:
            connection.execute("UPDATE strategies SET status = %s WHERE strategy_id = %s", (to_status, final))
    with pytest.raises(psycopg.errors.CheckViolation), pool.connection() as connection:
        connection.execute("UPDATE strategies SET status = 'SPLENDID' WHERE strategy_id = %s", (two,))


def test_a_strategy_is_found_by_the_beginning_of_its_id(pool: DatabasePool) -> None:
    _candidates(pool, 2)
    with pool.connection() as connection:
        assert find_strategy(connection, "strategy-1").strategy_id == "strategy-1"
        for beginning, message in (("strategy", "several"), ("none", "no strategy")):
            with pytest.raises(LookupError, match=message):
                find_strategy(connection, beginning)


def test_validated_strategies_vote_first_and_rejected_ones_not_at_all(database: str, pool: DatabasePool) -> None:
    candles = waves("AAA/USD")
    discover_and_store(database, pool, candles)
    validated = the_strategy(pool).strategy_id
    with pool.connection() as connection:
        # Copies under other ids: one better in sample that is only a candidate, one rejected.
        for identity in ("b" * 64, "c" * 64):
            columns = "exchange, symbol, timeframe, strategy_name, strategy, parameters, objective, in_sample"
            rest = "out_of_sample, start_time, end_time, train_end_time"
            connection.execute(
                f"INSERT INTO strategies (strategy_id, score, {columns}, {rest}) "
                f"SELECT %s, score + 5, {columns}, {rest} FROM strategies WHERE strategy_id = %s",
                (identity, validated),
            )
        change_status(connection, validated, "VALIDATED", actor="test", reason="test")
        change_status(connection, "c" * 64, "REJECTED", actor="test", reason="test")
        view = SignalSnapshots().refresh(connection).find("AAA/USD")
    assert view is not None
    assert [(vote.strategy_id, vote.status) for vote in view.strategies] == [
        (validated, "VALIDATED"), ("b" * 64, "CANDIDATE"),
    ]  # fmt: skip
    assert view.strategies[0].weight >= view.strategies[1].weight


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
