"""The alpha ledger, the stream of tests and the status of strategies, as the database keeps them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import psycopg
import pytest
from validation_stack import (  # noqa: F401 - fixtures are found by their names
    DAY_MS,
    plain_candidates,
    pool,
)

from alpharay.store.alpha_ledger import draw_interval
from alpharay.store.database import DatabasePool
from alpharay.store.strategy_status import IllegalStepError, change_status, transitions
from alpharay.store.validation_tests import next_level, record_test
from alpharay.store.validations import find_strategy
from alpharay.validation.ledger import Interval

pytestmark = pytest.mark.timeout(300)


def test_nobody_draws_what_another_has_drawn_however_many_draw_at_once(pool: DatabasePool) -> None:
    strategies = plain_candidates(pool, 12)
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
    strategies = plain_candidates(pool, 4)
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
    strategies = plain_candidates(pool, 3)
    with pool.connection() as connection:
        first = next_level(connection, "one")
        assert record_test(connection, "one", strategies[0], 0.0001) == first
        second = record_test(connection, "two", strategies[1], 0.9)
        assert second > first, "a discovery earns the next test a higher level"
        assert record_test(connection, "one", strategies[0], 0.5) == first
        assert next_level(connection, "two") == second
        assert next_level(connection, "three") < second


def test_a_status_takes_only_legal_steps_and_each_is_noted_whoever_takes_it(pool: DatabasePool) -> None:
    one, two = plain_candidates(pool, 2)
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
    plain_candidates(pool, 2)
    with pool.connection() as connection:
        assert find_strategy(connection, "strategy-1").strategy_id == "strategy-1"
        for beginning, message in (("strategy", "several"), ("none", "no strategy")):
            with pytest.raises(LookupError, match=message):
                find_strategy(connection, beginning)
