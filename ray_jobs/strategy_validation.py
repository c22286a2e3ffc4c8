"""Validate stored strategies: claim one, read its candles, gather the evidence, store it with the strategy's step."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Any

import psycopg
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import PoolTimeout

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.bus.messages import DiscoveryRequest
from alpharay.discovery.evaluation import Executor
from alpharay.discovery.search import SearchSettings
from alpharay.market.candles import Candles
from alpharay.market.resampling import resample
from alpharay.market.timeframe import timeframe_ms
from alpharay.signals.evidence import weight
from alpharay.store.alpha_ledger import draw_interval
from alpharay.store.candle_rows import Market
from alpharay.store.candles import load_candles, newest_open_time
from alpharay.store.database import DatabasePool, in_transaction
from alpharay.store.kept_candles import require_kept
from alpharay.store.requests import requested_costs, requested_search
from alpharay.store.runs import LEASE_S, LeaseLostError
from alpharay.store.signal_snapshots import scored_strategy
from alpharay.store.strategies import StoredStrategy
from alpharay.store.validation_tests import next_level, record_test
from alpharay.store.validations import (
    ClaimedValidation,
    claim_validation,
    discovery_of,
    fail_validation,
    finish_validation,
    open_strategies,
    release_validation,
    renew_validation,
    validation_test_id,
)
from alpharay.strategies.codec import strategy_from_json
from alpharay.validation.ledger import Interval
from alpharay.validation.unseen import Choose
from alpharay.validation.validation import (
    OnProgress,
    Subject,
    ValidationSettings,
    validate_strategy,
    validation_hash,
    validation_json,
)
from ray_jobs.lease_owner import is_gone

RENEWALS_A_LEASE = 4.0

log = structlog.get_logger(__name__)


class InterruptedValidation(BaseException):
    """Ctrl-C: unlike KeyboardInterrupt, which a search takes as its own end, this ends the whole validation."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How one validation ended: its status is that of the strategy now, or FAILED, LOST or KNOWN."""

    stored: StoredStrategy
    validation_id: str | None
    status: str
    text: str
    evidence: dict[str, Any] | None
    seconds: float


@dataclass(frozen=True, slots=True)
class StoredStream:
    """The stream of all requests' tests, as one test sees it."""

    pool: DatabasePool
    test_id: str
    strategy_id: str

    def next_level(self) -> float:
        """Return the level of this test, as things stand."""
        return in_transaction(self.pool, partial(next_level, test_id=self.test_id))

    def record(self, p_value: float) -> float:
        """Append this test, once, and return its level."""
        work = partial(record_test, test_id=self.test_id, strategy_id=self.strategy_id, p_value=p_value)
        return in_transaction(self.pool, work)


class ValidationLease:
    """Renews the lease of a validation on a thread and keeps its permutations; use it in a `with`."""

    def __init__(self, pool: DatabasePool, claimed: ClaimedValidation, lease_s: float) -> None:
        self._pool = pool
        self._claimed = claimed
        self._lease_s = lease_s
        self._null = list(claimed.known_null)
        self._stop = threading.Event()
        self.lost = False
        self._thread = threading.Thread(target=self._renew_until_stopped, name="validation-lease", daemon=True)

    def note(self, number: int, value: float) -> None:
        """Take a permutation's statistic as progress; raises LeaseLostError when somebody else works on it."""
        if self.lost:
            raise LeaseLostError(f"validation {self._claimed.validation_id} was given to another worker")
        assert number == len(self._null), f"permutation {len(self._null)} comes next, was {number}"
        self._null.append(value)

    def __enter__(self) -> ValidationLease:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=self._lease_s)

    def keep(self) -> None:
        """Renew now, with the progress so far; raises LeaseLostError."""
        with self._pool.connection() as connection:
            renew_validation(connection, self._claimed, null=tuple(self._null), lease_s=self._lease_s)

    def _renew_until_stopped(self) -> None:
        while not self._stop.wait(self._lease_s / RENEWALS_A_LEASE):
            try:
                self.keep()
            except LeaseLostError as error:
                log.warning("validation.lease_lost", validation_id=self._claimed.validation_id, error=str(error))
                self.lost = True
                return
            except (psycopg.Error, PoolTimeout) as error:
                log.warning("validation.lease_not_renewed", error=str(error))


def most_promising(stored: Sequence[StoredStrategy]) -> list[StoredStrategy]:
    """Return strategies by the weight that their figures would give their vote, largest first.

    A strategy that this code cannot read comes last: it fails, with the reason, when its turn comes.
    """

    def rank(item: StoredStrategy) -> tuple[float, str]:
        try:
            return (-weight(scored_strategy(item)), item.strategy_id)
        except ValueError:
            return (0.0, item.strategy_id)

    return sorted(stored, key=rank)


def waiting_strategies(
    pool: DatabasePool, *, symbol: str | None = None, timeframe: str | None = None
) -> list[StoredStrategy]:
    """Return the strategies that wait for validation, most promising first."""
    with pool.connection() as connection:
        return most_promising(open_strategies(connection, symbol=symbol, timeframe=timeframe))


def validate_waiting(
    pool: DatabasePool,
    executor: Executor,
    owner: str,
    stored: Sequence[StoredStrategy],
    settings: ValidationSettings,
    *,
    limit: int | None = None,
    time_budget_s: float | None = None,
    on_begin: Callable[[StoredStrategy], None] = lambda _: None,
    on_progress: OnProgress = lambda *_: None,
    on_end: Callable[[Ended], None] = lambda _: None,
    lease_s: float = LEASE_S,
) -> list[Ended]:
    """Validate strategies one after the other, at most `limit`, and none begins after the time budget.

    What another worker has in hand, and what was validated before on the same candles, counts for nothing and is left
    out. InterruptedValidation gives the one in hand back, with its permutations so far.
    """
    began = time.monotonic()
    ended: list[Ended] = []
    for item in stored:
        late = time_budget_s is not None and time.monotonic() - began >= time_budget_s
        if late or (limit is not None and len(ended) >= limit):
            break
        outcome = validate_stored(
            pool, executor, owner, item, settings, on_begin=on_begin, on_progress=on_progress, lease_s=lease_s
        )
        if outcome.status != "KNOWN":
            ended.append(outcome)
            on_end(outcome)
    return ended


def validate_stored(
    pool: DatabasePool,
    executor: Executor,
    owner: str,
    stored: StoredStrategy,
    settings: ValidationSettings,
    *,
    on_begin: Callable[[StoredStrategy], None] = lambda _: None,
    on_progress: OnProgress = lambda *_: None,
    lease_s: float = LEASE_S,
) -> Ended:
    """Validate one strategy on the candles stored now, unless another worker does or it was done on them before.

    Killed at any moment and called again it ends the same: the test keeps its place and level in the stream, the
    ledger gives the same interval, and the permutations are gone on with.
    """
    began = time.monotonic()

    def end(claimed: ClaimedValidation | None, status: str, text: str, evidence: dict[str, Any] | None = None) -> Ended:
        identity = None if claimed is None else claimed.validation_id
        return Ended(stored, identity, status, text, evidence, time.monotonic() - began)

    try:
        request = in_transaction(pool, partial(discovery_of, stored=stored))
        market = searched_market(stored, request)
        subject = subject_of(stored, request)
    except ValueError as error:
        return end(None, "FAILED", str(error))
    configuration = validation_hash(subject, stored.timeframe, settings)
    claimed = in_transaction(
        pool,
        partial(
            _claim, stored=stored, market=market, run_id=None if request is None else request.run_id,
            configuration=configuration, owner=owner, lease_s=lease_s,
        ),
    )  # fmt: skip
    if claimed is None:
        return end(None, "KNOWN", "validated before on these candles, or in another worker's hands")
    lease = ValidationLease(pool, claimed, lease_s)

    def draw(within: Interval, choose: Choose) -> Interval | None:
        work = partial(
            draw_interval, exchange=market.exchange, symbol=market.symbol, test_id=claimed.test_id,
            strategy_id=claimed.strategy_id, within=within, choose=choose,
        )  # fmt: skip
        return in_transaction(pool, work)

    try:
        on_begin(stored)
        with pool.connection() as connection:
            require_kept(connection, market, stored.start_time)
            read = load_candles(connection, market, start_ms=stored.start_time, end_ms=claimed.known_until)
        candles = _traded(read, stored.timeframe)
        with lease:
            found = validate_strategy(
                subject, candles, settings, executor=executor, on_progress=on_progress, draw=draw,
                stream=StoredStream(pool, claimed.test_id, claimed.strategy_id),
                known_null=claimed.known_null, on_null=lease.note,
            )  # fmt: skip
        evidence = validation_json(found)
        in_transaction(pool, partial(finish_validation, claimed=claimed, evidence=evidence, actor=owner))
    except LeaseLostError as error:
        return end(claimed, "LOST", str(error))
    except (ValueError, LookupError) as error:
        reason = str(error.args[0] if error.args else error)
        in_transaction(pool, partial(fail_validation, claimed=claimed, error=reason))
        return end(claimed, "FAILED", reason)
    except InterruptedValidation:
        _give_back(pool, claimed, lease)
        raise
    return end(claimed, found.status, found.verdict.text, evidence)


def searched_market(stored: StoredStrategy, request: DiscoveryRequest | None) -> Market:
    """Return the market whose candles the strategy was found on: finer than its own where they were resampled."""
    return Market(stored.exchange, stored.symbol, stored.timeframe if request is None else request.timeframe)


def subject_of(stored: StoredStrategy, request: DiscoveryRequest | None) -> Subject:
    """Return what is to be validated; raises ValueError when this code cannot read the rules or the request.

    The search's settings, costs and frictions are those of `request`, which found it; where that is not kept (None),
    those of a default search.
    """
    search, costs = SearchSettings(), Costs()
    frictions: Frictions | None = None
    if request is not None:
        costs, frictions = requested_costs(request)
        # The candles come in the strategy's time frame.
        search = replace(requested_search(request), timeframes=())
    elif stored.objective is not None:
        search = replace(search, objective=stored.objective)
    return Subject(
        strategy=strategy_from_json(stored.strategy),
        parameters=dict(stored.parameters),
        search=search,
        costs=costs,
        frictions=frictions,
        start_time=stored.start_time,
        train_end_time=stored.train_end_time,
        end_time=stored.end_time,
    )


def _traded(candles: Candles, timeframe: str) -> Candles:
    return candles if candles.timeframe == timeframe else resample(candles, timeframe)


def _claim(
    connection: Connection[TupleRow],
    stored: StoredStrategy,
    market: Market,
    run_id: str | None,
    configuration: str,
    owner: str,
    lease_s: float,
) -> ClaimedValidation | None:
    newest = newest_open_time(connection, market)
    window = (stored.start_time, stored.train_end_time, stored.end_time)
    return claim_validation(
        connection,
        strategy_id=stored.strategy_id,
        test_id=validation_test_id(stored.strategy_id, window, configuration),
        configuration=configuration,
        known_until=stored.end_time if newest is None else newest + timeframe_ms(market.timeframe),
        run_id=run_id,
        owner=owner,
        lease_s=lease_s,
        is_gone=is_gone,
    )


def _give_back(pool: DatabasePool, claimed: ClaimedValidation, lease: ValidationLease) -> None:
    try:
        lease.keep()
        with pool.connection() as connection:
            release_validation(connection, claimed)
    except (LeaseLostError, psycopg.Error, PoolTimeout) as error:
        log.warning("validation.not_given_back", validation_id=claimed.validation_id, error=str(error))
