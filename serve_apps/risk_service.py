"""Answer risk questions from memory; only the kill switch is written through to the database."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.market.symbol import resolve_symbol
from alpharay.market.timeframe import timeframe_ms
from alpharay.models.change_points import regime
from alpharay.models.volatility import ewma_volatility, forecast
from alpharay.risk.calibration import RECENT
from alpharay.risk.limits import assess
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
from alpharay.store.database import is_connection_loss
from alpharay.store.trading_halts import (
    ALL_ACCOUNTS,
    EventIdReusedError,
    TradingEvent,
    TradingSwitch,
    UnknownAccountError,
    halt,
    resume,
)
from serve_apps.background_copy import BackgroundCopy
from serve_apps.risk_requests import narrower, read_assessment, read_switch, read_var

OLDEST_SWITCHES_S = 1.0
"""Nothing is said to be allowed from a copy of the switches that is older."""

LONGEST_HORIZON = 240
PATHS = 2_000
"""Paths of a forecast: the ends of a 95 % interval are known to about 2 % of its width."""

FORECASTS_KEPT = 256

Name = TypeVar("Name", MarketName, PairName)
SwitchChange = Callable[[Connection[TupleRow]], TradingSwitch]
"""A change of a switch inside a transaction."""


@dataclass(frozen=True, slots=True)
class SwitchCopy:
    """The switches of all accounts and the newest events, as they were read."""

    switches: Mapping[str, TradingSwitch]
    events: tuple[TradingEvent, ...] = ()


class RiskService:
    """What the HTTP side asks: models, value at risk, assessments, halts.

    `commit` runs a change of a switch in one transaction and returns after its commit.
    """

    def __init__(
        self,
        models: BackgroundCopy[RiskView],
        switches: BackgroundCopy[SwitchCopy],
        commit: Callable[[SwitchChange], TradingSwitch],
        *,
        default_quote: str,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.models = models
        self.switches = switches
        self._commit = commit
        self._default_quote = default_quote
        self._now_ms = now_ms
        self._forecasts: dict[tuple[object, ...], dict[str, Any]] = {}

    @property
    def problem(self) -> str | None:
        """What keeps the service from answering all that it is asked; None when nothing does."""
        if not self.models.ready:
            return "the models are not loaded yet"
        return self._switches_problem()

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
            "data_age_seconds": self._data_age_s(oldest.candle_time, oldest.name.timeframe),
            "weights": weights,
            "methods": {risk.method: _loss(risk, asked.equity) for risk in risks},
            "filter": "ewma",
            "shortfall_contributions": {
                market.name.symbol: float(part) for market, part in zip(markets, parts, strict=True)
            },
        }

    def assess(self, body: bytes) -> Any:
        """Return how much of a trade is allowed, with each limit's reason and headroom."""
        asked, state, trade = read_assessment(body, self._default_quote)
        problem = self._switches_problem()
        if problem is not None:
            raise refuse(
                "trading_state_unknown",
                f"whether trading is halted is not known: {problem}",
                hint="nothing is allowed until the database answers again; /ready tells",
                retry_after_s=1,
            )
        # Read once: the copy may be replaced while this request runs.
        switches = self.switches.held.switches
        account = switches.get(asked.account)
        if account is None or asked.account == ALL_ACCOUNTS:
            raise _unknown_account(asked.account, switches)
        limits = narrower(account.limits, asked.limits)
        halts = [
            reason
            for switch in (switches.get(ALL_ACCOUNTS), account)
            if switch is not None and (reason := switch.refusal()) is not None
        ]
        made = assess(limits, state, trade)
        return {
            "account": asked.account,
            "symbol": trade.symbol,
            "decision": "refused" if halts else made.decision,
            "notional": 0.0 if halts else made.notional,
            "reasons": [*halts, *made.reasons],
            "halted": bool(halts),
            "checks": made.checks,
            "limits": limits,
            "switches_age_seconds": self.switches.age_s(),
        }

    def switch(self, body: bytes, *, halted: bool) -> Any:
        """Turn the kill switch, in the database; returns after the commit."""
        asked = read_switch(body)
        turn = partial(
            halt if halted else resume,
            account=asked.account,
            actor=asked.actor,
            reason=asked.reason,
            event_id=asked.event_id,
        )
        try:
            switch = self._commit(turn)
        except UnknownAccountError as error:
            raise refuse("unknown_account", str(error), field="account", value=asked.account) from None
        except EventIdReusedError as error:
            raise refuse("event_id_reused", str(error), field="event_id", value=asked.event_id) from None
        except psycopg.Error as error:
            if not is_connection_loss(error) and not isinstance(error, psycopg.errors.QueryCanceled):
                raise
            raise refuse(
                "database_unavailable",
                "the switch may not have been turned: the database did not confirm it",
                hint="send it again with the same event_id until it is confirmed; without the database no order passes",
                retry_after_s=1,
            ) from error
        # This replica's own copy shall not contradict its answer.
        self.switches.refresh()
        return {"account": switch.account, "halted": switch.halted, "phase": switch.phase}

    def halts(self) -> Any:
        """Return all switches and the newest events, from the copy, with its age."""
        if not self.switches.ready:
            raise refuse("not_ready", "the switches are not loaded yet", retry_after_s=1)
        copy = self.switches.held
        return {
            "age_seconds": self.switches.age_s(),
            "accounts": [
                {"account": one.account, "halted": one.halted, "phase": one.phase, "limits": one.limits}
                for one in sorted(copy.switches.values(), key=lambda switch: switch.account)
            ],
            "events": copy.events,
        }

    def status(self) -> dict[str, Any]:
        """Return what the service knows and how fresh it is, for people and monitors."""
        view = self.models.held
        return {
            "ready": self.problem is None,
            "problem": self.problem,
            "process_id": os.getpid(),
            "models": {
                "age_seconds": self.models.age_s(),
                "refresh_failures": self.models.failures,
                "last_error": self.models.last_error,
                "problems": view.problems,
            },
            "switches": {
                "age_seconds": self.switches.age_s(),
                "oldest_allowed_seconds": OLDEST_SWITCHES_S,
                "refresh_failures": self.switches.failures,
                "last_error": self.switches.last_error,
                "halted": sorted(one.account for one in self.switches.held.switches.values() if one.halted),
            },
            "markets": [
                {
                    **market.name._asdict(),
                    "data_age_seconds": self._data_age_s(market.candle_time, market.name.timeframe),
                    "volatility": market.volatility is not None,
                    "change_points": market.change_points is not None,
                }
                for market in view.markets.values()
            ],
            "pairs": [name._asdict() for name in view.pairs],
        }

    def _switches_problem(self) -> str | None:
        age = self.switches.age_s()
        if age is None:
            return "the switches are not loaded yet"
        if age > OLDEST_SWITCHES_S:
            error = f" ({self.switches.last_error})" if self.switches.last_error else ""
            return f"the copy of the switches is {age:.1f} s old, at most {OLDEST_SWITCHES_S:g} s serves{error}"
        return None

    def _models(self) -> RiskView:
        if not self.models.ready:
            raise refuse(
                "not_ready", "the models are not loaded yet", hint="check that PostgreSQL runs", retry_after_s=2
            )
        return self.models.held

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
            "data_age_seconds": self._data_age_s(candle_time, timeframe),
            "state_age_seconds": max(self._now_ms() - view.fitted_ms, 0) / 1000.0,
        }

    def _data_age_s(self, candle_time: int, timeframe: str) -> float:
        """Return how long ago a candle closed."""
        return max(self._now_ms() - candle_time - timeframe_ms(timeframe), 0) / 1000.0


def _only(names: list[Name]) -> Name:
    """Return the one name; raises RefusedError where time frame or exchange leave several."""
    if len(names) == 1:
        return names[0]
    for field in ("timeframe", "exchange"):
        known = sorted({str(getattr(name, field)) for name in names})
        if len(known) > 1:
            raise refuse("missing_field", f"{field} is needed: {', '.join(known)} are known", field=field)
    raise AssertionError(f"names are different, were {names}")


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


def _unknown_account(account: str, known: Iterable[str]) -> RefusedError:
    names = ", ".join(sorted(name for name in known if name != ALL_ACCOUNTS)[:20])
    return refuse(
        "unknown_account", f"account {account!r} is unknown; known are {names}", field="account", value=account
    )


def _loss(risk: TailRisk, equity: float | None) -> dict[str, float]:
    shares = {"value_at_risk": risk.value_at_risk, "expected_shortfall": risk.expected_shortfall}
    return shares if equity is None else shares | {f"{name}_money": value * equity for name, value in shares.items()}
