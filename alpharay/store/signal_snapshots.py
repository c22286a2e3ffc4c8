"""Keep the signal service's snapshot in step with the database, reading only what changed."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.features.feature_set import HISTORY
from alpharay.market.candles import Candles
from alpharay.market.timeframe import timeframe_ms
from alpharay.risk.market_view import MarketName, RiskView
from alpharay.signals.evidence import FLOOR, TRUST, TRUSTED_STATUSES, ScoredStrategy, selected_weights, weight
from alpharay.signals.market_context import CONTEXT_CANDLES
from alpharay.signals.model_opinion import ActiveModel
from alpharay.signals.snapshot import EMPTY, MarketView, Snapshot, market_view, snapshot_of
from alpharay.store.candle_rows import Market
from alpharay.store.candles import load_candles, load_newest_candles
from alpharay.store.changes import DataVersion, data_version, list_markets, markets_with_newer_candles
from alpharay.store.model_registry import LoadedModel, refreshed_models
from alpharay.store.risk_snapshots import RiskSnapshots
from alpharay.store.selection import deployed_strategies
from alpharay.store.strategies import StoredStrategy, best_strategies
from alpharay.store.strategy_status import DEPLOYED
from alpharay.strategies.codec import strategy_from_json

STRATEGIES_A_MARKET = 20
CONSIDERED_A_MARKET = 100

LEAST_CANDLES = max(CONTEXT_CANDLES, HISTORY)
"""The newest candles that are kept of every market: what its context and its features rest on."""

REREAD_CANDLES = 1_000
"""When a market has a new candle, so many before it are read again: an exchange corrects its newest candles."""

REREAD_ALL_S = 600.0
"""Everything is read again this often: a gap repaired deep in the past shows nowhere else."""

log = structlog.get_logger(__name__)


class SignalSnapshots:
    """Reads the database into snapshots; one thread uses it.

    A market's candles are read from the first one that one of its strategies' searches used, the same anchor that
    the search's indicators had, and at least the newest `LEAST_CANDLES`.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._version: DataVersion | None = None
        self._all_read_at = -REREAD_ALL_S
        self._candles: dict[Market, Candles] = {}
        self._strategies: dict[Market, tuple[tuple[ScoredStrategy, ...], tuple[str, ...]]] = {}
        self._views: dict[Market, MarketView] = {}
        self._changed: set[Market] = set()
        self._risk = RiskSnapshots()
        self._risk_view = RiskView()
        self._models: Mapping[Market, LoadedModel] = {}
        self.snapshot: Snapshot = EMPTY

    def refresh(self, connection: Connection[TupleRow]) -> Snapshot:
        """Return the snapshot of what is stored now; the same object when nothing changed."""
        before, version = self._version, data_version(connection)
        now = self._monotonic()
        everything = before is None or now - self._all_read_at >= REREAD_ALL_S
        strategies_changed = before is None or before.strategies != version.strategies
        if everything or before != version:
            markets = list_markets(connection)
            for gone in self._candles.keys() - set(markets):
                self._forget(gone)
            for market in markets:
                new = market not in self._candles
                if everything or strategies_changed or new:
                    self._read_strategies(connection, market)
                if everything or new:
                    self._keep(self._read(connection, market), market)
        for market in markets_with_newer_candles(connection, self._newest()):
            self._keep(self._read_newer(connection, market), market)
        self._read_risk(connection)
        self._read_models(connection)
        # Only now: a version whose reading failed on the way is read again by the next call.
        self._version = version
        if everything:
            self._all_read_at = now
        if self._changed:
            self._make()
        return self.snapshot

    def _read_risk(self, connection: Connection[TupleRow]) -> None:
        """Read the fitted states of the markets; those of which one is new are made again."""
        before, after = self._risk_view, self._risk.refresh(connection)
        if after is before:
            return
        for name in before.markets.keys() | after.markets.keys():
            market = Market(*name)
            if market in self._candles and _risk_times(before, name) != _risk_times(after, name):
                self._changed.add(market)
        self._risk_view = after

    def _read_models(self, connection: Connection[TupleRow]) -> None:
        """Read the active models; the markets of which one is another are made again."""
        before, after = self._models, refreshed_models(connection, self._models)
        for market in before.keys() | after.keys():
            if market in self._candles and before.get(market) is not after.get(market):
                self._changed.add(market)
        self._models = after

    def _keep(self, candles: Candles, market: Market) -> None:
        self._candles[market] = candles
        self._changed.add(market)

    def _newest(self) -> Mapping[Market, int]:
        return {market: int(candles.open_time[-1]) for market, candles in self._candles.items() if len(candles)}

    def _forget(self, market: Market) -> None:
        del self._candles[market]
        self._strategies.pop(market, None)
        self._changed.add(market)

    def _read_strategies(self, connection: Connection[TupleRow], market: Market) -> None:
        """Read a market's strategies; where they start earlier than its candles do, those too."""
        # Each kind by itself, or those with better scores in sample would crowd out those that are trusted more.
        stored = [
            item
            for statuses in ({DEPLOYED}, TRUSTED_STATUSES - {DEPLOYED}, TRUST.keys() - TRUSTED_STATUSES)
            for item in best_strategies(
                connection,
                exchange=market.exchange,
                symbol=market.symbol,
                timeframe=market.timeframe,
                statuses=statuses,
                limit=CONSIDERED_A_MARKET,
            )
        ]
        found = _best_of(stored, selected_weights(deployed_strategies(connection, market)))
        if self._strategies.get(market) == found:
            return
        self._strategies[market] = found
        self._changed.add(market)
        candles = self._candles.get(market)
        start = self._start(market)
        if candles is not None and start is not None and int(candles.open_time[0]) > start:
            self._keep(self._read(connection, market), market)

    def _start(self, market: Market) -> int | None:
        return min((one.start_time for one in self._strategies[market][0]), default=None)

    def _read(self, connection: Connection[TupleRow], market: Market) -> Candles:
        start = self._start(market)
        newest = load_newest_candles(connection, market, LEAST_CANDLES)
        if start is None or len(newest) == 0 or int(newest.open_time[0]) <= start:
            return newest
        return load_candles(connection, market, start_ms=start)

    def _read_newer(self, connection: Connection[TupleRow], market: Market) -> Candles:
        """Return the market's candles with what came since, and what was corrected shortly before."""
        known = self._candles[market]
        first = int(known.open_time[0])
        start = max(int(known.open_time[-1]) - REREAD_CANDLES * timeframe_ms(market.timeframe), first)
        whole = joined(known.between(first, start), load_candles(connection, market, start_ms=start))
        return whole if self._start(market) is not None else whole.tail(LEAST_CANDLES)

    def _make(self) -> None:
        """Make the views of what changed; a market of which nothing is left has none."""
        for market in self._changed:
            candles = self._candles.get(market)
            if candles is None or len(candles) == 0:
                self._views.pop(market, None)
                continue
            strategies, unreadable = self._strategies[market]
            try:
                view = market_view(
                    candles,
                    strategies,
                    risk=self._risk_view.markets.get(MarketName(*market)),
                    model=_active(self._models.get(market)),
                )
            except Exception as error:  # noqa: BLE001 - one market never takes the others with it
                log.warning("signal.market_refused", market=" ".join(market), error=f"{type(error).__name__}: {error}")
                self._views.pop(market, None)
                continue
            view = replace(view, problems=(*view.problems, *unreadable))
            for problem in view.problems:
                log.warning("signal.component_problem", market=" ".join(market), problem=problem)
            self._views[market] = view
        self._changed.clear()
        self.snapshot = snapshot_of(self._views.values())


def _active(loaded: LoadedModel | None) -> ActiveModel | None:
    return None if loaded is None else ActiveModel(loaded.model_id, loaded.model, loaded.problem)


def _risk_times(view: RiskView, name: MarketName) -> tuple[int | None, ...]:
    """Return the times that tell whether a market's states are others: of its newest candle and of each fit."""
    found = view.markets.get(name)
    if found is None:
        return ()
    states = (found.volatility, found.change_points)
    return (found.candle_time, *(None if state is None else state.fitted_ms for state in states))


def joined(older: Candles, newer: Candles) -> Candles:
    """Return two stretches of one market as one; the newer starts after the older ends."""
    return replace(
        older,
        open_time=np.concatenate([older.open_time, newer.open_time]),
        open=np.concatenate([older.open, newer.open]),
        high=np.concatenate([older.high, newer.high]),
        low=np.concatenate([older.low, newer.low]),
        close=np.concatenate([older.close, newer.close]),
        volume=np.concatenate([older.volume, newer.volume]),
    )


def _best_of(
    stored: list[StoredStrategy], selected: Mapping[str, float]
) -> tuple[tuple[ScoredStrategy, ...], tuple[str, ...]]:
    """Return the strategies of most weight that may speak, and what could not be read.

    `selected` has the weights of the deployed ones; when there are any, nobody else decides.
    """
    readable: list[ScoredStrategy] = []
    problems: list[str] = []
    for item in stored:
        try:
            one = scored_strategy(item)
            readable.append(replace(one, selected_weight=selected.get(one.strategy_id, FLOOR)) if selected else one)
        except ValueError as error:
            problems.append(f"{item.strategy_id}: {error}")
    best = heapq.nsmallest(STRATEGIES_A_MARKET, readable, key=lambda item: (-weight(item), item.strategy_id))
    return tuple(best), tuple(problems)


def scored_strategy(stored: StoredStrategy) -> ScoredStrategy:
    """Return a stored strategy with its rules read; raises ValueError when this code cannot read them."""
    return ScoredStrategy(
        strategy_id=stored.strategy_id,
        strategy=strategy_from_json(stored.strategy),
        parameters=stored.parameters,
        status=stored.status,
        in_sample=stored.in_sample,
        out_of_sample=stored.out_of_sample,
        start_time=stored.start_time,
        train_end_time=stored.train_end_time,
        end_time=stored.end_time,
    )
