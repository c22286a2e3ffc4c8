"""The portfolio service with a real database: a POST becomes a sized, stored, executed, booked order, once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

import httpx
import psycopg
import pytest
from starlette.testclient import TestClient
from test_order_execution import START, WHOLE, bars, check_books, paper, wait_for

from alpharay.feeds.exchange_clock import ExchangeClock
from alpharay.risk.limits import RiskLimits
from alpharay.store.account_equity import equity_now, mark_equity
from alpharay.store.accounts import Account, open_account
from alpharay.store.database import DatabasePool, in_transaction, open_pool
from alpharay.store.equity_marks import keep_mark
from alpharay.store.ledger import book_capital, book_of
from alpharay.store.migrate import migrate
from alpharay.store.trading_halts import halt, resume, set_limits
from benchmarks.signal_data import store_candles
from cluster.local.port import free_port
from ray_jobs.execute import rounds
from serve_apps.background_copy import BackgroundCopy
from serve_apps.portfolio import account_source
from serve_apps.portfolio_api import portfolio_api
from serve_apps.portfolio_service import AccountsCopy, PortfolioService, Prices
from serve_apps.portfolio_signal_orders import SignalOrders

pytestmark = pytest.mark.timeout(180)

BARS = 3
NOW = START + BARS * 60_000 + 5_000
WANT = {"order_id": "o1", "symbol": "BTC", "side": "buy", "fraction": 0.1}
TABLES = ("orders", "outbox", "account_equity", "ledger_entries", "paper_orders")


@dataclass
class Service:
    """The application on a database, and the clock that prices are measured by."""

    pool: DatabasePool
    database_url: str
    client: TestClient
    accounts: BackgroundCopy[AccountsCopy]
    clock_ms: int = NOW

    def want(self, **fields: object) -> httpx.Response:
        return self.client.post("/orders", json={**WANT, **fields})

    def rows(self) -> dict[str, int]:
        with psycopg.connect(self.database_url) as connection:
            return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}

    def execute(self, times: int) -> None:
        """Go through the account's orders as `ray_jobs.execute` does."""
        with closing(rounds(self.pool, paper(self.pool), "paper", threading.Event(), every_s=0.01)) as done:
            for _ in range(times):
                next(done)

    def status(self) -> str:
        return str(self.client.get("/orders/o1").json()["status"])


@pytest.fixture
def service(database: str) -> Iterator[Service]:
    migrate(database)
    store_candles(database, bars(0, BARS))
    with open_pool(database, application="test", max_connections=8, statement_timeout_s=4.0) as pool:
        with pool.connection() as connection:
            open_account(connection, Account(account_id="paper", kind="paper", currency="USD"))
            book_capital(connection, "paper", "start", Decimal(10_000), time_ms=1)
        clock = ExchangeClock(None, wall_clock_ms=lambda: made.clock_ms)
        accounts = BackgroundCopy(
            account_source(pool, clock), AccountsCopy({}, {}), name="accounts", every_s=0.1, longest_pause_s=0.2
        )
        portfolio = PortfolioService(
            accounts,
            partial(in_transaction, pool, retry_for_s=0.5),
            clock,
            Prices(exchange="test", timeframe="1m", oldest_timeframes=5.0),
            default_quote="USD",
            now_ms=lambda: made.clock_ms,
        )
        client = TestClient(
            portfolio_api(portfolio, SignalOrders(portfolio, WHOLE), versions={}), raise_server_exceptions=False
        )
        made = Service(pool, database, client, accounts)
        accounts.start()
        yield made
        accounts.stop()


def error_of(response: httpx.Response, status: int, code: str) -> httpx.Response:
    assert (response.status_code, response.json()["error"]["code"]) == (status, code), response.text
    return response


def test_an_order_is_walked_from_a_post_to_the_positions_and_has_one_effect(service: Service) -> None:
    before = service.rows()
    dry = service.want().json()
    assert (dry["decision"], dry["stored"], dry["quantity"], dry["data_age_seconds"]) == (
        "allowed", False, "10.000000000000", 5.0,
    )  # fmt: skip
    assert service.rows() == before
    assert service.client.get("/orders").json()["orders"] == []

    headers = {"X-Request-ID": "r-1"}
    real = service.client.post("/orders", json={**WANT, "dry_run": False}, headers=headers).json()
    assert (real["stored"], real["quantity"], real["order"]["status"]) == (True, dry["quantity"], "intended")
    stored = service.rows()
    assert stored["orders"] == 1
    with psycopg.connect(service.database_url) as connection:
        assert connection.execute("SELECT correlation_id FROM orders").fetchone() == ("r-1",)
    again = service.want(dry_run=False).json()
    assert (again["repeated"], again["order"]) == (True, real["order"])
    assert service.rows() == stored

    service.execute(1)
    store_candles(service.database_url, bars(BARS, 1, price=100.0))
    service.execute(1)
    assert service.status() == "filled"
    (fill,) = service.client.get("/fills").json()["fills"]
    assert (fill["order_id"], Decimal(fill["fill"]["quantity"])) == ("o1", Decimal(10))
    store_candles(service.database_url, bars(BARS + 1, 1, price=110.0))
    service.clock_ms = NOW + 120_000
    answer = service.client.get("/accounts/paper/positions").json()
    (held,) = answer["positions"]
    assert (held["symbol"], Decimal(held["quantity"]), Decimal(held["value"])) == ("BTC/USD", 10, 1_100)
    assert (held["data_age_seconds"], held["stale"]) == (5.0, False)
    assert Decimal(answer["equity"]) == Decimal(answer["cash"]) + 1_100 == Decimal(10_100)
    told = service.client.get("/performance").json()
    assert (told["return"], told["drawdown"]) == (pytest.approx(0.01), 0.0)
    finished = service.want(dry_run=False).json()
    assert (finished["repeated"], finished["order"]["status"]) == (True, "filled")
    check_books(service.pool)


SIGNAL = {
    "signal_id": "s-1", "action": "BUY", "confidence": 0.4, "suggested_fraction": 0.1, "symbol": "BTC/USD",
    "exchange": "test", "timeframe": "1m", "candle_time": START + (BARS - 1) * 60_000, "reason": "for this test",
}  # fmt: skip


def test_one_call_walks_a_signal_to_a_sized_checked_filled_and_booked_order(service: Service) -> None:
    before = service.rows()
    dry = service.client.post("/orders/from-signal", json={"signal": SIGNAL}).json()
    assert (dry["decision"], dry["stored"], dry["order"]["quantity"]) == ("allowed", False, "10.000000000000")
    assert [check["limit"] for check in dry["checks"]] >= ["equity"]
    expected = dry["expected"]
    assert (Decimal(expected["position"]), Decimal(expected["cash"])) == (10, 9_000)
    assert service.rows() == before

    asked = {"signal": SIGNAL, "dry_run": False, "wait_seconds": 5.0}
    with ThreadPoolExecutor(1) as client:
        # The call waits while an executor and the market do the rest.
        walking = client.submit(service.client.post, "/orders/from-signal", json=asked)
        wait_for(lambda: service.rows()["orders"] == 1, "the order")
        service.execute(1)
        store_candles(service.database_url, bars(BARS, 1, price=100.0))
        service.execute(1)
        walked = walking.result(timeout=60.0).json()
    assert (walked["order"]["status"], walked["order_id"], walked["repeated"]) == ("filled", "paper:s-1", False)
    booked = walked["booked"]
    assert (Decimal(booked["filled_quantity"]), Decimal(booked["position"]), Decimal(booked["cash"])) == (10, 10, 9_000)
    (entry,) = booked["entries"]
    assert sum(Decimal(line["amount"]) for line in entry["postings"]) == 0
    assert {line["account"] for line in entry["postings"]} >= {"cash", "position"}
    after = service.rows()
    # Again, late and in another form: the one order, as it stands.
    service.clock_ms = NOW + 3_600_000
    again = service.client.post("/orders/from-signal", json={"signal": SIGNAL, "dry_run": False}).json()
    assert (again["repeated"], again["booked"]) == (True, booked)
    assert service.rows() == after
    error_of(
        service.client.post("/orders/from-signal", json={"signal": {**SIGNAL, "signal_id": "s-2"}}), 409, "stale_data"
    )
    check_books(service.pool)


def test_risk_and_equity_are_those_of_the_book(service: Service) -> None:
    store_candles(service.database_url, bars(BARS, 1, price=101.0))
    store_candles(service.database_url, bars(BARS + 1, 1, price=100.0))
    service.clock_ms = NOW + 120_000
    assert service.client.get("/accounts/paper/risk").json()["risk"] is None
    trade = {"symbol": "BTC", "side": "buy", "notional": 1_000.0}
    marginal = service.client.post("/risk/marginal", json=trade).json()
    assert (marginal["change"], marginal["before"]["volatility"]) == (pytest.approx(0.1), 0.0)
    assert marginal["after"]["volatility"] == pytest.approx(marginal["marginal_volatility"] * 0.1)
    service.want(dry_run=False)
    service.execute(1)
    store_candles(service.database_url, bars(BARS + 2, 1, price=100.0))
    service.execute(1)
    risk = service.client.get("/accounts/paper/risk").json()["risk"]
    assert risk["exposure"]["gross"] == pytest.approx(0.1)
    assert risk["symbols"]["BTC/USD"]["component_volatility"] == pytest.approx(risk["volatility"])
    assert risk["observations"] == BARS + 2
    error_of(service.client.post("/risk/marginal", json={**trade, "symbol": "SOL"}), 409, "risk_unknown")
    with service.pool.connection() as connection:
        for minute, equity in enumerate((10_000, 9_000)):
            time_ms = NOW // 60_000 * 60_000 + minute * 60_000
            keep_mark(connection, "paper", Decimal(equity), Decimal(equity - 10_000), time_ms=time_ms, closed_ms={})
    answer = service.client.get("/accounts/paper/equity").json()
    assert [Decimal(point["equity"]) for point in answer["points"]] == [10_000, 9_000]
    assert answer["max_drawdown"] == pytest.approx(0.1)
    assert service.client.get("/strategies/selected").json() == {"markets": []}


def test_an_account_that_is_halted_takes_no_order_but_cancels_and_repeats(service: Service) -> None:
    service.want(dry_run=False)
    with service.pool.connection() as connection:
        halt(connection, "paper", actor="test", reason="test")
    for dry_run in (True, False):
        error_of(service.want(order_id="o2", dry_run=dry_run), 409, "trading_halted")
    assert service.want(dry_run=False).json()["repeated"] is True
    assert service.client.delete("/orders/o1").json()["status"] == "cancelled"
    assert service.rows()["orders"] == 1
    with service.pool.connection() as connection:
        resume(connection, "paper", actor="test", reason="test")
    assert service.want(order_id="o2", dry_run=False).json()["stored"] is True
    assert [one["order_id"] for one in service.client.get("/orders?status=cancelled").json()["orders"]] == ["o1"]


def test_each_limit_that_refuses_is_told_and_nothing_is_stored(service: Service) -> None:
    with service.pool.connection() as connection:
        set_limits(connection, "paper", RiskLimits(position=0.0, gross=0.0), actor="test", reason="test")
    before = service.rows()
    answer = service.want(dry_run=False).json()
    assert (answer["decision"], answer["order"], answer["stored"]) == ("refused", None, False)
    assert {check["limit"] for check in answer["checks"] if check["reason"]} >= {"position", "gross"}
    assert service.rows()["orders"] == before["orders"]


def test_a_price_too_old_or_missing_refuses(service: Service) -> None:
    error_of(service.want(symbol="SOL"), 409, "stale_data")
    service.clock_ms = START + BARS * 60_000 + 300_001
    response = error_of(service.want(dry_run=False), 409, "stale_data")
    assert response.headers["Retry-After"] == "60"
    assert service.rows()["orders"] == 0


def test_another_order_under_the_same_id_is_a_conflict(service: Service) -> None:
    service.want(dry_run=False)
    error_of(service.want(side="sell", dry_run=False), 422, "order_id_reused")


def test_the_same_order_from_many_clients_at_once_is_one_order(service: Service) -> None:
    with ThreadPoolExecutor(6) as clients:
        answers = [one.json() for one in clients.map(lambda _: service.want(dry_run=False), range(6))]
    assert sorted(answer["repeated"] for answer in answers) == [False, *[True] * 5]
    assert len({str(answer["order"]) for answer in answers}) == 1
    assert service.rows()["orders"] == 1


def test_equity_now_is_what_a_mark_would_be_and_keeps_nothing(service: Service) -> None:
    day = 86_400_000
    prices = {"BTC/USD": Decimal(100)}
    with service.pool.connection() as connection:
        for number, (later, deposit) in enumerate(((0, 0), (1, 500), (day, -2_000), (day + 1, 70), (0, 5))):
            if deposit:
                # Profit without a trade, for the marks only: what was paid in is no gain.
                connection.execute("UPDATE ledger_balances SET cash = cash + %s", (deposit,))
            book = book_of(connection, "paper")
            time_ms = NOW + later
            told = equity_now(connection, "paper", book, prices, time_ms=time_ms)
            assert told == mark_equity(connection, "paper", book, prices, time_ms=time_ms), number
        connection.rollback()


def test_without_the_database_it_is_503_at_once_and_works_again_by_itself(
    service: Service, stack, crash: Callable[[str], None]
) -> None:
    crash("postgres")
    wait_for(lambda: service.client.get("/ready").status_code == 503, "the service notices")
    response = error_of(service.want(dry_run=False), 503, "database_unavailable")
    assert response.headers["Retry-After"] == "1"
    error_of(service.client.get("/performance"), 503, "database_unavailable")
    stack.start("postgres")
    wait_for(lambda: service.client.get("/ready").status_code == 200, "the service works again")
    assert service.want(dry_run=False).json()["stored"] is True


def test_the_deployed_application_answers_behind_its_edges(service: Service, ray_cluster: str) -> None:
    from ray import serve

    from serve_apps.portfolio import PortfolioServer

    port = free_port()
    try:
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
        environment = {"ALPHARAY_DATABASE_URL": service.database_url}
        deployment = PortfolioServer.options(
            autoscaling_config=None,
            num_replicas=1,
            ray_actor_options={"num_cpus": 0.1, "runtime_env": {"env_vars": environment}},
        )
        serve.run(deployment.bind("test", "1m"), name="portfolio", route_prefix="/portfolio")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/portfolio", trust_env=False, timeout=30.0) as client:
            assert client.get("/ready").status_code == client.get("/health").status_code == 200
            assert client.get("/accounts/paper/positions").json()["cash"] == "10000.00000000"
            # By this machine's clock these candles are years old.
            error_of(client.post("/orders", json=WANT), 409, "stale_data")
            size = {"methods": {"fixed_fraction": {"risk": 0.01, "stop_distance": 0.5}}}
            assert client.post("/size", json=size).json()["sizes"]["fixed_fraction"]["fraction"] == 0.02
            assert client.get("/status").json()["edges"]["authentication"]
            assert "alpharay_portfolio_requests_total" in client.get("/metrics").text
    finally:
        serve.shutdown()
