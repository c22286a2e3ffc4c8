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
        self._histories: dict[Market, PriceHistory] = {}
        self._problems: tuple[str, ...] = ()
        self._view = RiskView()

    def refresh(self, connection: Connection[TupleRow]) -> RiskView:
        """Return the view of what is stored now; the same object when nothing changed."""
        models_changed = self._read_models(connection)
        candles_changed = self._read_candles(connection)
        if models_changed or candles_changed:
            self._view = self._made()
        return self._view

    def _read_models(self, connection: Connection[TupleRow]) -> bool:
        times = model_times(connection)
        changed = [key for key, time in times.items() if self._times.get(key) != time]
        if not changed and times.keys() == self._times.keys():
            return False
        models, problems = load_models(connection, changed)
        self._models = {key: model for key, model in self._models.items() if key in times and key not in changed}
        self._models |= {model.key: model for model in models}
        self._problems = tuple(problems)
        # Only now: what failed on the way is read again by the next call.
        self._times = times
        return True

    def _read_candles(self, connection: Connection[TupleRow]) -> bool:
        wanted = {
            Market(key.exchange, symbol, key.timeframe)
            for key in self._models
            for symbol in filter(None, (key.symbol, key.against))
        }
        new = wanted - self._histories.keys()
        gone = self._histories.keys() - wanted
        for market in gone:
            del self._histories[market]
        for market in new:
            self._histories[market] = price_history(load_newest_candles(connection, market, CANDLES_A_MARKET))
        newest = {
            market: int(history.open_time[-1]) for market, history in self._histories.items() if len(history.open_time)
        }
        newer = markets_with_newer_candles(connection, newest)
        for market in newer:
            start = newest[market] - REREAD_CANDLES * timeframe_ms(market.timeframe)
            later = price_history(load_candles(connection, market, start_ms=start))
            self._histories[market] = _joined(self._histories[market], later)
        return bool(new or gone or newer)

    def _made(self) -> RiskView:
        markets: dict[MarketName, MarketRisk] = {}
        pairs: dict[PairName, PairRisk] = {}
        problems = list(self._problems)
        for key, model in sorted(self._models.items()):
            history = self._histories[Market(key.exchange, key.symbol, key.timeframe)]
            try:
                if isinstance(model.state, HedgeState):
                    other = self._histories[Market(key.exchange, key.against, key.timeframe)]
                    name = PairName(key.exchange, key.symbol, key.against, key.timeframe)
                    pair = pair_history(history, other)
                    state = hedge_now(model.state, model.decided_at, pair)
                    pairs[name] = PairRisk(name, pair, StateView(state, _fitted_ms(model), model.decided_at))
                elif len(history.open_time):
                    market = MarketName(key.exchange, key.symbol, key.timeframe)
                    known = markets.get(market) or MarketRisk(market, history)
                    markets[market] = _with(known, model)
            except ValueError as error:
                problems.append(f"{' '.join(filter(None, key))}: {error}")
        return RiskView(markets, pairs, tuple(problems))


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


def _joined(older: PriceHistory, newer: PriceHistory) -> PriceHistory:
    if len(newer.open_time) == 0:
        return older
    kept = older.open_time < newer.open_time[0]
    return PriceHistory(
        np.concatenate([older.open_time[kept], newer.open_time])[-CANDLES_A_MARKET:],
        np.concatenate([older.close[kept], newer.close])[-CANDLES_A_MARKET:],
    )
