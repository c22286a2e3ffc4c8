"""The executor's job: opens the paper account, goes through its orders, gives its lease up, refuses live money."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from test_order_execution import ORDER, bars, wait_for

from alpharay.store.accounts import Account, open_account
from alpharay.store.executor_leases import lease_owner, take_lease
from alpharay.store.ledger import book_of
from alpharay.store.migrate import migrate
from alpharay.store.orders import intend, order_state
from benchmarks.signal_data import store_candles

pytestmark = pytest.mark.timeout(180)

REPOSITORY = Path(__file__).resolve().parents[2]


def job(database: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ray_jobs.execute", "--exchange", "test", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "ALPHARAY_DATABASE_URL": database},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str], timeout_s: float = 60.0) -> tuple[int, str, str]:
    try:
        output, errors = process.communicate(timeout=timeout_s)
    finally:
        process.kill()
    return process.returncode, output, errors


def test_job_opens_the_account_fills_orders_and_leaves_the_lease(database) -> None:
    migrate(database)
    store_candles(database, bars(0, 3))
    code, output, errors = ended(job(database, "--capital", "1000", "--once", "--json"))
    assert code == 0, errors
    assert json.loads(output)["released"] == 0
    with psycopg.connect(database, autocommit=True) as connection:
        assert book_of(connection, "paper").cash == Decimal(1000)
        intend(connection, ORDER)
        process = job(database, "--capital", "1000", "--every", "0.1", "--fee", "0", "--slippage", "0")
        try:
            wait_for(lambda: order_state(connection, "o1").status == "open", "the release")
            store_candles(database, bars(3, 2))
            wait_for(lambda: order_state(connection, "o1").status == "filled", "the fill")
        finally:
            process.terminate()
        code, output, errors = ended(process)
        assert code == 0, errors
        assert "1 released" in output
        book = book_of(connection, "paper")
        assert book.capital == Decimal(1000)
        assert book.positions["BTC/USD"].quantity == ORDER.quantity
        assert lease_owner(connection, "paper") is not None
        assert ended(job(database, "--once"))[0] == 0
        marked = connection.execute("SELECT equity, profit, peak_profit FROM account_equity").fetchone()
        # Bought above the close, by impact: at the close it is worth less than it cost.
        assert marked == (book.cash + 50, book.cash + 50 - 1000, 0)
        assert marked[1] < 0
        assert take_lease(connection, "paper", "next") is not None


def test_job_refuses_a_live_account_and_one_that_is_not_open(database) -> None:
    migrate(database)
    with psycopg.connect(database) as connection:
        open_account(connection, Account(account_id="real", kind="live", currency="USD"))
    code, _, errors = ended(job(database, "--account", "real", "--once"))
    assert (code, "must be on paper, was live" in errors) == (2, True)
    code, _, errors = ended(job(database, "--account", "real", "--capital", "5", "--once"))
    assert (code, "is open as" in errors) == (2, True)
    code, _, errors = ended(job(database, "--once"))
    assert (code, "has no book" in errors) == (2, True)
    with psycopg.connect(database) as connection, pytest.raises(LookupError):
        intend(connection, replace(ORDER, account_id="paper"))
