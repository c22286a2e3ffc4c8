"""Whether a trade may be made, from memory; only the kill switch is written through to the database."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.risk.limits import assess
from alpharay.risk.market_view import RiskView
from alpharay.signals.refusal import RefusedError, refuse
from alpharay.store.database import is_connection_loss
from alpharay.store.trading_halts import (
    ALL_ACCOUNTS,
    EventIdReusedError,
    TradingEvent,
    TradingSwitch,
    UnknownAccountError,
    halt,
    opening_halt,
    resume,
    set_limits,
)
from serve_apps.background_copy import BackgroundCopy
from serve_apps.risk_forecasts import RiskForecasts
from serve_apps.risk_requests import (
    LimitsRequest,
    SwitchRequest,
    narrower,
    read_assessment,
    read_halt,
    read_limits,
    read_resume,
)

OLDEST_SWITCHES_S = 1.0
"""Nothing is said to be allowed from a copy of the switches that is older."""

SwitchChange = Callable[[Connection[TupleRow]], TradingSwitch]
"""A change of a switch inside a transaction."""


@dataclass(frozen=True, slots=True)
class SwitchCopy:
    """The switches of all accounts and the newest events, as they were read."""

    switches: Mapping[str, TradingSwitch]
    events: tuple[TradingEvent, ...] = ()


class RiskService:
    """What the HTTP side asks: forecasts, assessments, halts.

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
        self.forecasts = RiskForecasts(models, default_quote=default_quote, now_ms=now_ms)

    @property
    def problem(self) -> str | None:
        """What keeps the service from answering all that it is asked; None when nothing does."""
        if not self.models.ready:
            return "the models are not loaded yet"
        return self._switches_problem()

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
        both = [switch for switch in (switches.get(ALL_ACCOUNTS), account) if switch is not None]
        stopped = [reason for switch in both if (reason := switch.refusal()) is not None]
        opening = opening_halt(both)
        made = assess(limits, state, trade, None if stopped else opening)
        return {
            "account": asked.account,
            "symbol": trade.symbol,
            "decision": "refused" if stopped else made.decision,
            "notional": 0.0 if stopped else made.notional,
            "reasons": [*stopped, *made.reasons],
            "halted": opening is not None,
            "halt": "ALL" if stopped else None if opening is None else "INCREASES",
            "checks": made.checks,
            "limits": limits,
            "switches_age_seconds": self.switches.age_s(),
        }

    def halt(self, body: bytes) -> Any:
        """Halt an account, or all, in the database; returns after the commit."""
        asked = read_halt(body)
        change = partial(halt, **_change_of(asked.account, asked), scope=asked.scope)
        return self._changed(change, asked.account, asked.event_id)

    def resume(self, body: bytes) -> Any:
        """Take a halt back; as `halt`."""
        asked = read_resume(body)
        return self._changed(partial(resume, **_change_of(asked.account, asked)), asked.account, asked.event_id)

    def set_limits(self, account: str, body: bytes) -> Any:
        """Set an account's limits in the database; returns them after the commit."""
        asked, limits = read_limits(body)
        if not self.switches.ready:
            raise refuse("not_ready", "the accounts are not loaded yet", retry_after_s=1)
        known = self.switches.held.switches
        if account == ALL_ACCOUNTS or account not in known:
            raise _unknown_account(account, known)
        return self._changed(partial(set_limits, **_change_of(account, asked), limits=limits), account, asked.event_id)

    def _changed(self, change: SwitchChange, account: str, event_id: str | None) -> Any:
        try:
            switch = self._commit(change)
        except UnknownAccountError as error:
            raise refuse("unknown_account", str(error), field="account", value=account) from None
        except EventIdReusedError as error:
            raise refuse("event_id_reused", str(error), field="event_id", value=event_id) from None
        except psycopg.Error as error:
            if not is_connection_loss(error) and not isinstance(error, psycopg.errors.QueryCanceled):
                raise
            raise refuse(
                "database_unavailable",
                "the change may not have been made: the database did not confirm it",
                hint="send it again with the same event_id until it is confirmed; without the database no order passes",
                retry_after_s=1,
            ) from error
        # This replica's own copy shall not contradict its answer.
        self.switches.refresh()
        return _told(switch)

    def halts(self) -> Any:
        """Return all switches and the newest events, from the copy, with its age."""
        if not self.switches.ready:
            raise refuse("not_ready", "the switches are not loaded yet", retry_after_s=1)
        copy = self.switches.held
        return {
            "age_seconds": self.switches.age_s(),
            "accounts": [_told(one) for one in sorted(copy.switches.values(), key=lambda switch: switch.account)],
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
                    "data_age_seconds": self.forecasts.data_age_s(market.candle_time, market.name.timeframe),
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


def _change_of(account: str, asked: SwitchRequest | LimitsRequest) -> dict[str, Any]:
    return {"account": account, "actor": asked.actor, "reason": asked.reason, "event_id": asked.event_id}


def _told(switch: TradingSwitch) -> dict[str, Any]:
    return {
        "account": switch.account,
        "halted": switch.halted,
        "scope": switch.scope if switch.halted else None,
        "phase": switch.phase,
        "breaker_reason": switch.breaker.reason,
        "limits": switch.limits,
    }


def _unknown_account(account: str, known: Iterable[str]) -> RefusedError:
    names = ", ".join(sorted(name for name in known if name != ALL_ACCOUNTS)[:20])
    return refuse(
        "unknown_account", f"account {account[:64]!r} is unknown; known are {names}", field="account", value=account
    )
