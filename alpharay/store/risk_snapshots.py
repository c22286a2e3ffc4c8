"""Read the risk view from PostgreSQL, again and again: only models that were stored anew and candles that are newer."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.market.timeframe import timeframe_ms
from alpharay.models.change_points import ChangePointState
from alpharay.models.hedge_ratio import HedgeState
from alpharay.models.volatility import FittedVolatility
from alpharay.risk.calibration import (
    PriceHistory,
    change_points_now,
    hedge_now,
    pair_history,
    price_history,
    volatility_now,
)
from alpharay.risk.market_view import MarketName, MarketRisk, PairName, PairRisk, RiskView, StateView
from alpharay.store.candle_rows import Market
from alpharay.store.candles import load_candles, load_newest_candles
from alpharay.store.changes import markets_with_newer_candles
from alpharay.store.risk_models import ModelKey, RiskModel, load_models, model_times

CANDLES_A_MARKET = 1_000
"""Closes that are kept: what value at risk rests on."""

REREAD_CANDLES = 5
"""So many of the newest candles are read again with a new one: they may have been corrected."""


class RiskSnapshots:
    """Holds what was read, so that the next reading asks for changes only; used by one thread."""

    def __init__(self) -> None:
        self._times: dict[ModelKey, datetime] = {}
        self._models: dict[ModelKey, RiskModel] = {}
        self._unreadable: dict[ModelKey, str] = {}
        self._histories: dict[Market, PriceHistory] = {}
        self._refused: dict[Market, str] = {}
        self._changed = False
        self._view = RiskView()

    def refresh(self, connection: Connection[TupleRow]) -> RiskView:
        """Return the view of what is stored now; the same object when nothing changed."""
        self._read_models(connection)
        self._read_candles(connection)
        # Kept until the view is made: a connection that is lost in between must not lose the change.
        if self._changed:
            self._view = self._made()
            self._changed = False
        return self._view

    def _read_models(self, connection: Connection[TupleRow]) -> None:
        times = model_times(connection)
        changed = {key for key, time in times.items() if self._times.get(key) != time}
        kept = times.keys() - changed
        if not changed and kept == self._times.keys():
            return
        models, problems = load_models(connection, changed)
        self._models = {key: model for key, model in self._models.items() if key in kept}
        self._models |= {model.key: model for model in models}
        self._unreadable = {key: problem for key, problem in self._unreadable.items() if key in kept} | problems
        self._times = times
        self._changed = True

    def _read_candles(self, connection: Connection[TupleRow]) -> None:
        wanted = {
            Market(key.exchange, symbol, key.timeframe)
            for key in self._models
            for symbol in filter(None, (key.symbol, key.against))
        }
        for market in (self._histories.keys() | self._refused.keys()) - wanted:
            self._histories.pop(market, None)
            self._refused.pop(market, None)
        newest = {
            market: int(history.open_time[-1]) for market, history in self._histories.items() if len(history.open_time)
        }
        for market in markets_with_newer_candles(connection, newest):
            self._read(connection, market, newest[market] - REREAD_CANDLES * timeframe_ms(market.timeframe))
        # Those without candles, and those whose candles were refused, may have better ones now.
        for market in sorted(wanted - newest.keys()):
            self._read(connection, market, None)

    def _read(self, connection: Connection[TupleRow], market: Market, start_ms: int | None) -> None:
        """Read a market's candles from a time on, or all that are kept; one that is refused leaves the others alone."""
        if start_ms is None:
            candles = load_newest_candles(connection, market, CANDLES_A_MARKET)
        else:
            candles = load_candles(connection, market, start_ms=start_ms)
        try:
            later = price_history(candles)
        except ValueError as error:
            self._histories.pop(market, None)
            self._changed |= self._refused.get(market) != str(error)
            self._refused[market] = str(error)
            return
        self._changed |= market in self._refused or market not in self._histories or len(later.open_time) > 0
        self._refused.pop(market, None)
        self._histories[market] = _joined(self._histories[market], later) if market in self._histories else later

    def _made(self) -> RiskView:
        markets: dict[MarketName, MarketRisk] = {}
        pairs: dict[PairName, PairRisk] = {}
        problems = [_told(key, problem) for key, problem in sorted(self._unreadable.items())]
        problems += [_told(market, problem) for market, problem in sorted(self._refused.items())]
        for key, model in sorted(self._models.items()):
            try:
                self._add(key, model, markets, pairs)
            except (ValueError, LookupError) as error:
                problems.append(_told(key, str(error)))
        return RiskView(markets, pairs, tuple(problems))

    def _add(
        self,
        key: ModelKey,
        model: RiskModel,
        markets: dict[MarketName, MarketRisk],
        pairs: dict[PairName, PairRisk],
    ) -> None:
        """Add a model, brought up to the newest candle; raises LookupError where there are none."""
        history = self._history(Market(key.exchange, key.symbol, key.timeframe))
        if isinstance(model.state, HedgeState):
            other = self._history(Market(key.exchange, key.against, key.timeframe))
            name = PairName(key.exchange, key.symbol, key.against, key.timeframe)
            pair = pair_history(history, other)
            state = hedge_now(model.state, model.decided_at, pair)
            pairs[name] = PairRisk(name, pair, StateView(state, _fitted_ms(model), model.decided_at))
        else:
            market = MarketName(key.exchange, key.symbol, key.timeframe)
            markets[market] = _with(markets.get(market) or MarketRisk(market, history), model)

    def _history(self, market: Market) -> PriceHistory:
        history = self._histories.get(market)
        if history is None or len(history.open_time) == 0:
            raise LookupError(f"no candles of {market.symbol} {market.timeframe} can be read")
        return history


def _with(market: MarketRisk, model: RiskModel) -> MarketRisk:
    """Return the market with a model's state brought up to its newest candle."""
    fitted_ms, decided_at = _fitted_ms(model), model.decided_at
    if isinstance(model.state, FittedVolatility):
        volatility = volatility_now(model.state, decided_at, market.history)
        return replace(market, volatility=StateView(volatility, fitted_ms, decided_at))
    assert isinstance(model.state, ChangePointState)
    changes = change_points_now(model.state, decided_at, market.history)
    return replace(market, change_points=StateView(changes, fitted_ms, decided_at))


def _fitted_ms(model: RiskModel) -> int:
    assert model.fitted_at is not None, "a stored model has its time"
    return int(model.fitted_at.timestamp() * 1000.0)


def _told(name: tuple[str, ...], problem: str) -> str:
    return f"{' '.join(filter(None, name))}: {problem}"


def _joined(older: PriceHistory, newer: PriceHistory) -> PriceHistory:
    if len(newer.open_time) == 0:
        return older
    kept = older.open_time < newer.open_time[0]
    return PriceHistory(
        np.concatenate([older.open_time[kept], newer.open_time])[-CANDLES_A_MARKET:],
        np.concatenate([older.close[kept], newer.close])[-CANDLES_A_MARKET:],
    )
