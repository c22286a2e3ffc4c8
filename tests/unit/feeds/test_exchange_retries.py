"""Which failures of an exchange are tried again, how long between, and what is said in the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ccxt
import pytest

from alpharay.feeds.exchange import (
    CAUTIOUS_PAGE_LIMIT,
    ExchangeFeed,
    ExchangeRefusedError,
    ExchangeUnavailableError,
    UnknownSymbolError,
    connect_exchange,
)

ROW = [60_000, 1.0, 2.0, 0.5, 1.5, 3.0]


class FakeClient:
    """Raises the `failures` one after another, then answers."""

    def __init__(self, *failures: Exception, limit: int | None = 300, retry_after: str | None = None) -> None:
        self.has: Mapping[str, Any] = {"fetchTime": True}
        self.features = {"spot": {"fetchOHLCV": {"limit": limit}}}
        self.timeframes = {"1m": "1m", "1d": "1d"}
        self.last_response_headers = {} if retry_after is None else {"Retry-After": retry_after}
        self.last_json_response: object = []
        self.rows = [ROW]
        self.calls = 0
        self._failures = list(failures)

    def load_markets(self) -> dict[str, dict[str, Any]]:
        return {
            "BTC/USD": {"spot": True, "active": True},
            "ETH/USD": {"spot": True, "active": None},
            "BTC/USD:USD": {"spot": False, "active": True},
            "OLD/USD": {"spot": True, "active": False},
        }

    def fetch_time(self) -> int:
        return 1234

    def fetch_ohlcv(self, symbol: str, timeframe: str, since: int | None = None, limit: int | None = None) -> Any:
        assert (symbol, timeframe, since, limit) == ("BTC/USD", "1m", 0, 10)
        self.calls += 1
        if self._failures:
            raise self._failures.pop(0)
        return self.rows


def feed_of(client: FakeClient, waits: list[float] | None = None) -> ExchangeFeed:
    waited = [] if waits is None else waits
    return ExchangeFeed("fake", client, tries=4, sleep=waited.append, wall_clock_ms=lambda: 99)


@pytest.mark.parametrize(
    "error",
    [
        ccxt.NetworkError("reset"),
        ccxt.RequestTimeout("slow"),
        ccxt.ExchangeNotAvailable("503"),
        ccxt.OnMaintenance("later"),
        ccxt.DDoSProtection("429"),
        ccxt.RateLimitExceeded("429"),
        ccxt.BadResponse("html"),
        TypeError("the answer was text"),
    ],
)
def test_failure_that_may_pass_is_tried_again(error):
    client = FakeClient(error, error)
    answer = feed_of(client).fetch_candles("BTC/USD", "1m", 0, 10)
    assert answer.rows == [ROW]
    assert answer.received_at_ms == 99
    assert client.calls == 3


@pytest.mark.parametrize(
    "error",
    [ccxt.BadSymbol("x"), ccxt.BadRequest("x"), ccxt.AuthenticationError("x"), ccxt.ExchangeError("x")],
)
def test_failure_that_will_not_pass_is_tried_once(error):
    client = FakeClient(error)
    with pytest.raises(ExchangeRefusedError, match="fake refused BTC/USD 1m from 0"):
        feed_of(client).fetch_candles("BTC/USD", "1m", 0, 10)
    assert client.calls == 1


def test_answer_that_is_no_json_is_not_taken_for_an_empty_page():
    client = FakeClient()
    client.rows = []
    assert feed_of(client).fetch_candles("BTC/USD", "1m", 0, 10).rows == []
    client.last_json_response = None
    with pytest.raises(ExchangeUnavailableError, match="the answer is not JSON"):
        feed_of(client).fetch_candles("BTC/USD", "1m", 0, 10)


def test_failure_that_does_not_pass_is_given_up_after_all_tries():
    client = FakeClient(*[ccxt.NetworkError("no route")] * 10)
    with pytest.raises(ExchangeUnavailableError, match=r"BTC/USD 1m from 0 after 4 tries: NetworkError: no route"):
        feed_of(client).fetch_candles("BTC/USD", "1m", 0, 10)
    assert client.calls == 4


def test_wait_after_a_rate_limit_is_at_least_what_the_exchange_asks_for():
    waits: list[float] = []
    client = FakeClient(ccxt.DDoSProtection("429"), retry_after="37")
    feed_of(client, waits).fetch_candles("BTC/USD", "1m", 0, 10)
    assert [wait >= 37 for wait in waits] == [True]


def test_retry_after_of_an_earlier_answer_does_not_delay_other_failures():
    waits: list[float] = []
    client = FakeClient(ccxt.NetworkError("reset"), retry_after="80")
    feed_of(client, waits).fetch_candles("BTC/USD", "1m", 0, 10)
    assert len(waits) == 1
    assert waits[0] < 37


def test_ban_longer_than_the_longest_wait_is_given_up_at_once():
    client = FakeClient(ccxt.DDoSProtection("418"), retry_after="7200")
    with pytest.raises(ExchangeUnavailableError, match="after 1 tries"):
        feed_of(client).fetch_candles("BTC/USD", "1m", 0, 10)


def test_symbols_are_the_active_spot_markets():
    assert feed_of(FakeClient()).symbols() == ("BTC/USD", "ETH/USD")


def test_unknown_symbol_is_named_with_near_ones_and_never_asked_for():
    client = FakeClient()
    with pytest.raises(UnknownSymbolError, match=r"fake has no spot market BTC/USDT; did you mean BTC/USD"):
        feed_of(client).fetch_candles("BTC/USDT", "1m", 0, 10)
    assert client.calls == 0


def test_unknown_timeframe_is_named():
    with pytest.raises(ValueError, match="timeframe must be one of 1m, 1d at fake, was '7m'"):
        feed_of(FakeClient()).fetch_candles("BTC/USD", "7m", 0, 10)


def test_time_is_the_exchanges_or_this_machines_where_it_tells_none():
    client = FakeClient()
    assert feed_of(client).now_ms() == 1234
    client.has = {"fetchTime": False}
    assert feed_of(client).now_ms() == 99


@pytest.mark.parametrize(("limit", "expected"), [(300, 300), (None, CAUTIOUS_PAGE_LIMIT)])
def test_page_limit_is_what_ccxt_states_or_a_cautious_one(limit, expected):
    assert feed_of(FakeClient(limit=limit)).page_limit == expected


def test_unknown_exchange_is_named_with_near_ones():
    with pytest.raises(ValueError, match=r"exchange 'coinbse' is unknown to ccxt .* did you mean coinbase"):
        connect_exchange("coinbse")


def test_simulated_exchange_needs_its_url_and_others_take_none():
    with pytest.raises(ValueError, match="ALPHARAY_EXCHANGE_URL"):
        connect_exchange("simulated")
    with pytest.raises(ValueError, match="exchange was 'kraken'"):
        connect_exchange("kraken", "http://127.0.0.1:1")
    with pytest.raises(ValueError, match="url must look like"):
        connect_exchange("simulated", "127.0.0.1:1")


@pytest.mark.parametrize(
    ("name", "limit"),
    [("binance", 1000), ("coinbase", 300), ("kraken", 720), ("bitfinex", 10_000), ("okx", 300)],
)
def test_live_exchanges_connect_without_a_request_and_load_only_spot_markets(name, limit):
    feed = connect_exchange(name)
    assert (feed.name, feed.page_limit) == (name, limit)
    markets = feed._client.options.get("fetchMarkets")
    if isinstance(markets, dict) and "types" in markets:
        assert markets["types"] == ["spot"]


def test_proxy_variables_are_ignored_on_loopback_only():
    assert connect_exchange("simulated", "http://127.0.0.1:9")._client.session.trust_env is False
    assert connect_exchange("simulated", "http://exchange.test:9")._client.session.trust_env is True
    assert connect_exchange("kraken")._client.session.trust_env is True
