"""Candles from any exchange that ccxt knows, the simulated one included."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import ccxt
from tenacity import RetryCallState, Retrying, retry_if_exception
from tenacity.wait import wait_random_exponential

from alpharay.feeds.backfill import CandleAnswer
from alpharay.market.sample import SIMULATED_EXCHANGE

TRIES = 6
REQUEST_TIMEOUT_S = 15.0
MAX_WAIT_S = 90.0
"""The longest wait between two tries. An exchange that asks for more is given up, not hammered."""

CAUTIOUS_PAGE_LIMIT = 100
"""Asked for where ccxt states no limit: asking for too many could skip candles, too few only takes longer."""

_SIMULATED_PROTOCOL = "binance"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

Result = TypeVar("Result")


class FeedError(RuntimeError):
    """An exchange could not be asked; the message names the exchange and what was asked."""


class ExchangeUnavailableError(FeedError):
    """The exchange did not answer within all tries, or asks to wait too long; later it may."""


class ExchangeRefusedError(FeedError):
    """The exchange will never answer this request; trying again does not help."""


class UnknownSymbolError(ExchangeRefusedError, LookupError):
    """The exchange has no such spot market."""


class ExchangeClient(Protocol):
    """The part of a ccxt exchange that is used here."""

    has: Mapping[str, Any]
    features: Mapping[str, Any]
    timeframes: Mapping[str, Any]
    last_response_headers: Mapping[str, str] | None
    last_json_response: object

    def load_markets(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the markets by unified symbol."""

    def fetch_time(self) -> int:
        """Return the exchange's time, UTC ms."""

    def fetch_ohlcv(
        self, symbol: str, timeframe: str, since: int | None = None, limit: int | None = None
    ) -> list[list[Any]]:
        """Return rows of open time, open, high, low, close, volume."""


def connect_exchange(name: str, url: str | None = None) -> ExchangeFeed:
    """Return a feed of the exchange that ccxt calls `name`; nothing is sent yet.

    `simulated` is the simulated exchange at `url` (it speaks Binance's protocol); `binance` may be sent to
    another `url` too. Every other exchange is reached at its own address. Proxy variables count, except on
    loopback.

    Raises ValueError when the name is unknown or the url is missing or not allowed.
    """
    if name == SIMULATED_EXCHANGE and url is None:
        raise ValueError("the simulated exchange needs its url: run `alpharay stack up`, or set ALPHARAY_EXCHANGE_URL")
    protocol = _SIMULATED_PROTOCOL if name == SIMULATED_EXCHANGE else name
    if protocol not in ccxt.exchanges:
        near = get_close_matches(name, [*ccxt.exchanges, SIMULATED_EXCHANGE], n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"exchange {name!r} is unknown to ccxt {ccxt.__version__}{hint}")
    if url is not None and protocol != _SIMULATED_PROTOCOL:
        raise ValueError(f"url goes with simulated or binance only, exchange was {name!r}")
    options = {
        "timeout": int(REQUEST_TIMEOUT_S * 1000),
        "enableRateLimit": True,
        "enableLastResponseHeaders": True,
        "enableLastJsonResponse": True,
    }
    client = getattr(ccxt, protocol)(options)
    client.options["defaultType"] = "spot"
    _load_spot_only(client)
    client.session.trust_env = True
    if url is not None:
        _redirect(client, url)
    return ExchangeFeed(name, client)


def _load_spot_only(client: Any) -> None:
    """Keep ccxt from asking for futures and options: they are other hosts and thousands of markets."""
    markets = client.options.get("fetchMarkets")
    if isinstance(markets, dict) and "spot" in markets.get("types", ()):
        markets["types"] = ["spot"]


def _redirect(client: Any, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"url must look like http://127.0.0.1:9300, was {url!r}")
    client.urls["api"]["public"] = f"{url.rstrip('/')}/api/v3"
    # The replay's markets keep the names they have in their files.
    client.commonCurrencies = {}
    client.session.trust_env = parts.hostname not in _LOOPBACK


class ExchangeFeed:
    """The candles of one exchange, with limited retries.

    It is synchronous on purpose: an ingestor asks for one page at a time, the exchange's rate limit is what
    it waits for, and a plain call is what retries, threads and Ray actors handle best. ccxt's rate limiter
    has no lock, so a feed belongs to one thread. `sleep` and `wall_clock_ms` can be replaced by tests.
    """

    def __init__(
        self,
        name: str,
        client: ExchangeClient,
        *,
        tries: int = TRIES,
        sleep: Callable[[float], None] = time.sleep,
        wall_clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.name = name
        self.page_limit = _page_limit(client)
        self._client = client
        self._tries = tries
        self._sleep = sleep
        self._wall_clock_ms = wall_clock_ms
        self._symbols: tuple[str, ...] | None = None

    def now_ms(self) -> int:
        """Return the exchange's time, UTC ms; this machine's where the exchange does not tell its own."""
        if not self._client.has.get("fetchTime"):
            return self._wall_clock_ms()
        return int(self._ask("the time", self._client.fetch_time))

    def symbols(self) -> tuple[str, ...]:
        """Return the active spot markets as unified symbols, sorted; asked for once."""
        if self._symbols is None:
            markets = self._ask("its markets", self._client.load_markets)
            self._symbols = tuple(
                sorted(name for name, market in markets.items() if market["spot"] and market["active"] is not False)
            )
        return self._symbols

    def fetch_candles(self, symbol: str, timeframe: str, start_ms: int, limit: int) -> CandleAnswer:
        """Return the rows that open at `start_ms` or later as the exchange gives them, at most `limit`.

        Nothing is checked: the newest row may be an open candle and any row may be wrong. `backfill_pages` is
        the way to candles that can be used. Raises UnknownSymbolError, ValueError for a time frame that the
        exchange does not have, and the other FeedErrors.
        """
        self._require(symbol, timeframe)
        rows = self._ask(
            f"{symbol} {timeframe} from {start_ms}",
            lambda: _rows(self._client, symbol, timeframe, start_ms, limit),
        )
        return CandleAnswer(rows, self._wall_clock_ms())

    def _require(self, symbol: str, timeframe: str) -> None:
        if symbol not in self.symbols():
            near = get_close_matches(symbol, self.symbols(), n=3, cutoff=0.5)
            hint = f"; did you mean {' or '.join(near)}?" if near else f"; it has {len(self.symbols())} others"
            raise UnknownSymbolError(f"{self.name} has no spot market {symbol}{hint}")
        if timeframe not in self._client.timeframes:
            raise ValueError(
                f"timeframe must be one of {', '.join(self._client.timeframes)} at {self.name}, was {timeframe!r}"
            )

    def _ask(self, what: str, call: Callable[[], Result]) -> Result:
        """Return what `call` returns; try again on what may pass."""
        retrying = Retrying(
            stop=self._gives_up,
            wait=self._wait_s,
            retry=retry_if_exception(lambda error: isinstance(error, ccxt.OperationFailed)),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(lambda: _readable(call))
        except ccxt.OperationFailed as error:
            tries = retrying.statistics.get("attempt_number", self._tries)
            message = f"{self.name} did not give {what} after {tries} tries: {_sentence(error)}"
            raise ExchangeUnavailableError(message) from error
        except ccxt.BaseError as error:
            raise ExchangeRefusedError(f"{self.name} refused {what}: {_sentence(error)}") from error

    def _wait_s(self, state: RetryCallState) -> float:
        return max(_EXPONENTIAL(state), self._retry_after_s(state))

    def _gives_up(self, state: RetryCallState) -> bool:
        return state.attempt_number >= self._tries or self._retry_after_s(state) > MAX_WAIT_S

    def _retry_after_s(self, state: RetryCallState) -> float:
        """Return the seconds that a rate-limit answer asks to wait; 0 for every other error."""
        error = state.outcome.exception() if state.outcome is not None else None
        if not isinstance(error, ccxt.DDoSProtection | ccxt.RateLimitExceeded):
            return 0.0
        text = (self._client.last_response_headers or {}).get("Retry-After", "")
        return float(text) if text.isdigit() else 0.0


# Jitter keeps many ingestors from coming back at the same moment.
_EXPONENTIAL = wait_random_exponential(multiplier=0.5, max=20.0)


def _rows(client: ExchangeClient, symbol: str, timeframe: str, start_ms: int, limit: int) -> list[list[Any]]:
    """Return the rows; ccxt takes a page of HTML for an empty answer, which would pass for a gap."""
    rows = client.fetch_ohlcv(symbol, timeframe, since=start_ms, limit=limit)
    if not rows and client.last_json_response is None:
        raise ccxt.BadResponse("the answer is not JSON")
    return rows


def _readable(call: Callable[[], Result]) -> Result:
    """Return what `call` returns; an answer that ccxt cannot read is a bad response, which may pass."""
    try:
        return call()
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise ccxt.BadResponse(f"the answer cannot be read: {error!r}") from error


def _sentence(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _page_limit(client: ExchangeClient) -> int:
    """Return the most candles that the exchange gives in one answer, as ccxt states it."""
    spot = client.features.get("spot") or {}
    limit = (spot.get("fetchOHLCV") or {}).get("limit")
    return int(limit) if limit else CAUTIOUS_PAGE_LIMIT
