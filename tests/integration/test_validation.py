"""Strategies from candidate to verdict on a real database: evidence, steps, shares."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from validation_stack import (  # noqa: F401 - fixtures are found by their names
    HOUR_MS,
    SEARCH,
    SEEN_BARS,
    SETTINGS,
    START_MS,
    discover_and_store,
    expected_evidence,
    noise,
    pool,
    the_strategy,
    validate,
    waves,
)

from alpharay.backtest.frictions import FeeTier, Frictions, frictions_to_json
from alpharay.discovery.evaluation import SerialExecutor
from alpharay.market.resampling import resample
from alpharay.store.alpha_ledger import ledger_entries
from alpharay.store.database import DatabasePool
from alpharay.store.signal_snapshots import SignalSnapshots
from alpharay.store.strategy_status import change_status, transitions
from alpharay.store.validations import validations_of
from benchmarks.signal_data import store_candles
from ray_jobs.strategy_validation import (
    validate_waiting,
    waiting_strategies,
)

pytestmark = pytest.mark.timeout(300)


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
