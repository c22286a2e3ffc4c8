"""Each component of a signal by itself, answered from the snapshot that the whole signal is answered from."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import msgspec

from alpharay.features.feature_set import FEATURE_SET, FEATURES, FRAMES
from alpharay.market.timeframe import timeframe_ms, timeframe_of
from alpharay.signals.opinion import Component, ComponentName
from alpharay.signals.refusal import RefusedError
from alpharay.signals.request import MarketRequest
from alpharay.signals.snapshot import MarketView, utc
from serve_apps.signal_service import SignalService
from serve_apps.web.decoded_body import decode_body

PREDICTION_EXAMPLE = '{"symbol": "SOL", "timeframe": "1h"}'

_decoder = msgspec.json.Decoder(MarketRequest)


class SignalComponents:
    """Answers what one component says of a market; data that is too old is told by `fresh`, not refused."""

    def __init__(self, service: SignalService) -> None:
        self._service = service

    def features(self, symbol: str, timeframe: str | None, exchange: str | None) -> dict[str, Any]:
        """Return the features that models see, with what each of them is."""
        view = self._view(symbol, timeframe, exchange)
        step = timeframe_ms(view.timeframe)
        return {
            **self._told(view),
            "feature_set": FEATURE_SET,
            "timeframes": [timeframe_of(frame * step) for frame in FRAMES],
            "features": view.model.features,
            "descriptions": {
                one.name: f"{one.description} ({timeframe_of(one.frame * step)} candles)" for one in FEATURES
            },
        }

    def prediction(self, body: bytes) -> dict[str, Any]:
        """Return what the market's active model says, and its vote."""
        asked = decode_body(body, _decoder, PREDICTION_EXAMPLE)
        view = self._view(asked.symbol, asked.timeframe, asked.exchange)
        reading = view.model
        return {
            **self._told(view),
            "model_id": reading.model_id,
            "probability": reading.probability,
            "trained_until": None if reading.trained_until is None else utc(reading.trained_until),
            "problem": reading.problem,
            "component": self._component(view, "model"),
        }

    def market_context(self, symbol: str, timeframe: str | None, exchange: str | None) -> dict[str, Any]:
        """Return momentum, volatility, regime and sentiment, and the vote that follows from them."""
        view = self._view(symbol, timeframe, exchange)
        context = asdict(view.context)
        return {**self._told(view), **context, "component": self._component(view, "market_context")}

    def strategies(self, symbol: str, timeframe: str | None, exchange: str | None) -> dict[str, Any]:
        """Return every strategy's vote, and theirs together."""
        view = self._view(symbol, timeframe, exchange)
        return {
            **self._told(view),
            "strategies": view.strategies_json,
            "problems": view.problems,
            "component": self._component(view, "strategies"),
        }

    def risk_check(self, symbol: str, timeframe: str | None, exchange: str | None) -> dict[str, Any]:
        """Return the size that is suggested, what risk leaves of it, and why."""
        view = self._view(symbol, timeframe, exchange)
        conclusion, age = self._service.conclusions.of(view)
        state = self._service.conclusions.trading.held
        return {
            **self._told(view),
            "account": state.account,
            "action": conclusion.decision.action,
            "action_before_risk": view.decision.action,
            "suggested_fraction": conclusion.fraction,
            "fraction_before_risk": view.size.fraction,
            "switches_age_seconds": age,
            "size": self._component(view, "size"),
            "component": self._component(view, "risk"),
        }

    def _view(self, symbol: str, timeframe: str | None, exchange: str | None) -> MarketView:
        return self._service.view(self._service.market(symbol, timeframe, exchange))

    def _told(self, view: MarketView) -> dict[str, Any]:
        age = self._age(view)
        return {
            "symbol": view.symbol,
            "exchange": view.exchange,
            "timeframe": view.timeframe,
            "candle_time": utc(view.candle_time),
            "candle_close": view.close,
            "data_age_seconds": age,
            "fresh": age is not None,
        }

    def _component(self, view: MarketView, name: ComponentName) -> Component:
        conclusion, trading_age = self._service.conclusions.of(view)
        age = self._age(view)
        if name == "risk":
            return msgspec.structs.replace(conclusion.risk, data_age_seconds=trading_age)
        found = next(one for one in conclusion.candle_components if one.name == name)
        return msgspec.structs.replace(found, data_age_seconds=age)

    def _age(self, view: MarketView) -> float | None:
        """Return the age of a market's data; None when it is too old to speak, or not known."""
        try:
            return self._service.data_age_s(view)
        except RefusedError:
            return None
