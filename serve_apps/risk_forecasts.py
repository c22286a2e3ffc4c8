"""Answer what the fitted models say: volatility, regime, hedge, value at risk; from memory alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from alpharay.market.symbol import resolve_symbol
from alpharay.market.timeframe import timeframe_ms
from alpharay.models.change_points import regime
from alpharay.models.volatility import ewma_volatility, forecast
from alpharay.risk.calibration import RECENT
from alpharay.risk.market_view import MarketName, MarketRisk, PairName, RiskView, StateView, common_returns
from alpharay.risk.value_at_risk import (
    TailRisk,
    filtered_risk,
    gaussian_risk,
    historical_risk,
    portfolio_returns,
    shortfall_contributions,
)
from alpharay.signals.refusal import RefusedError, refuse
from serve_apps.background_copy import BackgroundCopy
from serve_apps.risk_requests import read_var

LONGEST_HORIZON = 240
PATHS = 2_000
"""Paths of a forecast: the ends of a 95 % interval are known to about 2 % of its width."""

FORECASTS_KEPT = 256

Name = TypeVar("Name", MarketName, PairName)


class RiskForecasts:
    """What the models of the newest copy say; every answer tells the age of its data and of its state."""

    def __init__(self, models: BackgroundCopy[RiskView], *, default_quote: str, now_ms: Callable[[], int]) -> None:
        self._copy = models
        self._default_quote = default_quote
        self._now_ms = now_ms
        self._forecasts: dict[tuple[object, ...], dict[str, Any]] = {}

    def volatility(self, symbol: str, timeframe: str | None, exchange: str | None, horizon: int, level: float) -> Any:
        """Return the forecast of a market's volatility with intervals."""
        market = self._market(symbol, timeframe, exchange, lambda one: one.volatility is not None, "volatility")
        view = market.volatility
        assert view is not None, "only markets with one were looked at"
        key = (market.name, view.state, horizon, level)
        made = self._forecasts.get(key)
        if made is None:
            coming = forecast(view.state, horizon, level=level, paths=PATHS)
            made = {
                "volatility": coming.volatility.tolist(),
                "volatility_low": coming.volatility_low.tolist(),
                "volatility_high": coming.volatility_high.tolist(),
                "return_low": coming.return_low.tolist(),
                "return_high": coming.return_high.tolist(),
                "total_volatility": coming.total_volatility.tolist(),
                "total_low": coming.total_low.tolist(),
                "total_high": coming.total_high.tolist(),
            }
            if len(self._forecasts) >= FORECASTS_KEPT:
                self._forecasts.clear()
            self._forecasts[key] = made
        state = view.state
        return {
            **self._told(market, view),
            "model": state.model,
            "distribution": state.distribution,
            "fallback": state.fallback is not None,
            "fallback_reason": state.fallback,
            "level": level,
            "horizon": horizon,
            "forecast": made,
            "parameters": {
                "mean": state.mean,
                "omega": state.omega,
                "alpha": state.alpha,
                "gamma": state.gamma,
                "beta": state.beta,
                "degrees_of_freedom": state.degrees_of_freedom,
            },
            "half_life": state.half_life,
            "long_run_volatility": None if state.long_run_variance is None else math.sqrt(state.long_run_variance),
        }

    def regime(self, symbol: str, timeframe: str | None, exchange: str | None, recent: int = RECENT) -> Any:
        """Return what the change points say of the running regime."""
        market = self._market(symbol, timeframe, exchange, lambda one: one.change_points is not None, "change points")
        view = market.change_points
        assert view is not None, "only markets with one were looked at"
        now = regime(view.state, recent=recent)
        return {
            **self._told(market, view),
            "change_probability": now.change_probability,
            "recent": now.recent,
            "run_length": now.length,
            "run_length_probability": now.length_probability,
            "expected_run_length": now.expected_length,
            "mean": now.mean,
            "volatility": now.volatility,
        }

    def hedge(self, y: str, x: str, timeframe: str | None, exchange: str | None) -> Any:
        """Return the hedge of y by x, its spread and how that returns."""
        first, second = self._symbol(y, "y"), self._symbol(x, "x")
        view = self._models()
        fitting = [
            name
            for name in view.pairs
            if (name.y, name.x) == (first, second)
            and timeframe in (None, name.timeframe)
            and exchange in (None, name.exchange)
        ]
        if not fitting:
            known = sorted({f"{name.y} by {name.x} {name.timeframe}" for name in view.pairs})
            raise refuse(
                "unknown_pair",
                f"no hedge of {first} by {second} is fitted; fitted are {', '.join(known[:20]) or 'none'}",
                field="y",
                value=y,
                hint=f"run `python -m ray_jobs.calibrate --pair {first},{second}`",
            )
        pair = view.pairs[_only(fitting)]
        state, back = pair.hedge.state, pair.reversion
        candle_time = int(pair.pair.open_time[-1]) if len(pair.pair.open_time) else pair.hedge.decided_at
        return {
            **pair.name._asdict(),
            **self._age(candle_time, pair.name.timeframe, pair.hedge),
            "beta": state.ratio,
            "beta_deviation": math.sqrt(float(state.covariance[1, 1])),
            "intercept": state.intercept - state.ratio * state.centre,
            "spread": back.spread,
            "spread_z": back.z_score,
            "half_life": back.half_life,
            "t_statistic": back.t_statistic,
            "problem": back.problem,
        }

    def value_at_risk(self, body: bytes) -> Any:
        """Return value at risk and expected shortfall of a portfolio, over one candle."""
        asked, weights = read_var(body, self._default_quote)
        markets = self._markets(weights, asked.timeframe, asked.exchange)
        try:
            table = common_returns([market.history for market in markets], asked.observations)
        except ValueError as error:
            raise refuse("invalid_field", str(error), field="weights", value=sorted(weights)) from None
        held = np.array([weights[market.name.symbol] for market in markets])
        returns = portfolio_returns(held, table)
        risks = (
            historical_risk(returns, level=asked.level),
            gaussian_risk(returns, level=asked.level),
            filtered_risk(returns, ewma_volatility(returns), level=asked.level),
        )
        parts = shortfall_contributions(held, table, level=asked.level)
        oldest = min(markets, key=lambda market: market.candle_time)
        return {
            "level": asked.level,
            "timeframe": oldest.name.timeframe,
            "observations": len(returns),
            "tail_observations": risks[0].tail_observations,
            "data_age_seconds": self.data_age_s(oldest.candle_time, oldest.name.timeframe),
            "weights": weights,
            "methods": {risk.method: _loss(risk, asked.equity) for risk in risks},
            "filter": "ewma",
            "shortfall_contributions": {
                market.name.symbol: float(part) for market, part in zip(markets, parts, strict=True)
            },
        }

    def _models(self) -> RiskView:
        if not self._copy.ready:
            raise refuse(
                "not_ready", "the models are not loaded yet", hint="check that PostgreSQL runs", retry_after_s=2
            )
        return self._copy.held

    def _symbol(self, text: str, field: str) -> str:
        try:
            return resolve_symbol(text, self._default_quote)
        except ValueError as error:
            raise refuse("invalid_field", str(error), field=field, value=text) from None

    def _market(
        self,
        text: str,
        timeframe: str | None,
        exchange: str | None,
        has: Callable[[MarketRisk], bool],
        what: str,
    ) -> MarketRisk:
        symbol = self._symbol(text, "symbol")
        view = self._models()
        fitting = [
            name
            for name, market in view.markets.items()
            if name.symbol == symbol
            and timeframe in (None, name.timeframe)
            and exchange in (None, name.exchange)
            and has(market)
        ]
        if not fitting:
            raise _unknown_market(symbol, timeframe, exchange, what, view.markets)
        return view.markets[_only(fitting)]

    def _markets(self, symbols: Iterable[str], timeframe: str | None, exchange: str | None) -> list[MarketRisk]:
        """Return the markets of all symbols, of the one exchange and time frame that all of them have."""
        view, wanted = self._models(), sorted(symbols)
        sets = []
        for symbol in wanted:
            found = {
                (name.exchange, name.timeframe)
                for name in view.markets
                if name.symbol == symbol and timeframe in (None, name.timeframe) and exchange in (None, name.exchange)
            }
            if not found:
                raise _unknown_market(symbol, timeframe, exchange, "risk model", view.markets)
            sets.append(found)
        common = [MarketName(where[0], wanted[0], where[1]) for where in sorted(set.intersection(*sets))]
        if not common:
            raise refuse(
                "invalid_field",
                "the symbols must have an exchange and a time frame in common, had none",
                field="weights",
                value=wanted,
            )
        chosen = _only(common)
        return [view.markets[chosen._replace(symbol=symbol)] for symbol in wanted]

    def _told(self, market: MarketRisk, view: StateView[Any]) -> dict[str, Any]:
        return {**market.name._asdict(), **self._age(market.candle_time, market.name.timeframe, view)}

    def _age(self, candle_time: int, timeframe: str, view: StateView[Any]) -> dict[str, Any]:
        return {
            "candle_time": candle_time,
            "data_age_seconds": self.data_age_s(candle_time, timeframe),
            "state_age_seconds": max(self._now_ms() - view.fitted_ms, 0) / 1000.0,
        }

    def data_age_s(self, candle_time: int, timeframe: str) -> float:
        """Return how long ago a candle closed."""
        return max(self._now_ms() - candle_time - timeframe_ms(timeframe), 0) / 1000.0


def _only(names: list[Name]) -> Name:
    """Return the name with the shortest time frame; raises RefusedError where several exchanges are left.

    Larger candles come when a strategy wants them: who names none goes on with what the exchange delivers.
    """
    exchanges = sorted({name.exchange for name in names})
    if len(exchanges) > 1:
        raise refuse("missing_field", f"exchange is needed: {', '.join(exchanges)} are known", field="exchange")
    return min(names, key=lambda name: timeframe_ms(name.timeframe))


def _unknown_market(
    symbol: str, timeframe: str | None, exchange: str | None, what: str, known: Iterable[MarketName]
) -> RefusedError:
    asked = " ".join(text[:50] for text in (symbol, timeframe, exchange) if text)
    names = ", ".join(sorted({f"{name.symbol} {name.timeframe}" for name in known})[:20])
    return refuse(
        "unknown_symbol",
        f"there is no {what} of {asked}; known are {names or 'none'}",
        field="symbol",
        value=symbol,
        hint="run `python -m ray_jobs.calibrate`",
    )


def _loss(risk: TailRisk, equity: float | None) -> dict[str, float]:
    shares = {"value_at_risk": risk.value_at_risk, "expected_shortfall": risk.expected_shortfall}
    return shares if equity is None else shares | {f"{name}_money": value * equity for name, value in shares.items()}
