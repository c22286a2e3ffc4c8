"""The circuit breaker: trading stops by itself when losses, volatility or errors pass a mark, and resumes by trial.

A pure state machine in the sense of Nygard 2007, "Release It!", chapter 5: closed (all pass), open (none), half-open (a
few small trials decide). The clock is an argument, a state goes in and a state comes out, so it can be a row in a
database, a value in a replica or a case in a test. It never closes while what opened it lasts, and without fresh
readings it lets nothing through.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from alpharay.risk.limits import RiskLimits

Phase = Literal["closed", "open", "half-open"]

MOST_OUTCOMES = 1_000
"""Outcomes that are remembered at most: the newest ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """When the breaker opens, and how it closes again.

    Parameters
    ----------
    most_loss, most_drawdown : float
        Loss since the day's start, and since the best, as a share of the equity then.
    most_orders : int or None
        Orders that may be made within a second; None for any number.
    most_volatility : float
        Volatility forecast as a multiple of its long-run level.
    most_errors : float
        Share of failed outcomes within `outcome_window_ms`, once there are `least_outcomes`.
    least_outcomes, outcome_window_ms : int
    longest_silence_ms : int
        Age of the newest reading from which on nothing passes.
    cool_down_ms, longest_cool_down_ms : int
        How long it stays open; twice as long each time that a trial fails, up to the longest.
    trials : int
        Outcomes without failure that close it.
    trial_size : float
        Share of its size that a trial may have.
    """

    most_loss: float = 0.05
    most_drawdown: float = 0.1
    most_orders: int | None = None
    most_volatility: float = 4.0
    most_errors: float = 0.5
    least_outcomes: int = 10
    outcome_window_ms: int = 60_000
    longest_silence_ms: int = 60_000
    cool_down_ms: int = 60_000
    longest_cool_down_ms: int = 3_600_000
    trials: int = 3
    trial_size: float = 0.25

    def __post_init__(self) -> None:
        for name in ("most_loss", "most_drawdown", "most_errors", "trial_size"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ValueError(f"{name} of the breaker must be in (0, 1], was {getattr(self, name)}")
        if not 0.0 < self.most_volatility < math.inf:
            raise ValueError(f"most_volatility of the breaker must be above 0, was {self.most_volatility}")
        if self.most_orders is not None and self.most_orders < 0:
            raise ValueError(f"most_orders of the breaker must be at least 0, was {self.most_orders}")
        for name in ("least_outcomes", "outcome_window_ms", "longest_silence_ms", "cool_down_ms", "trials"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} of the breaker must be at least 1, was {getattr(self, name)}")
        if self.longest_cool_down_ms < self.cool_down_ms:
            raise ValueError(
                f"longest_cool_down_ms must be at least cool_down_ms ({self.cool_down_ms}), "
                f"was {self.longest_cool_down_ms}"
            )


@dataclass(frozen=True, slots=True)
class Reading:
    """How the account and the market stand.

    Parameters
    ----------
    loss, drawdown : float
        Since the day's start, and since the best, as a share of the equity then.
    volatility : float or None
        Over its long-run level. None while no forecast exists; that alone does not open the breaker.
    orders : int
        Made within the last second.
    blind : str or None
        Why the account's worth is not known, such as a price that is too old: what is not seen may be any loss.
    """

    loss: float
    volatility: float | None = None
    drawdown: float = 0.0
    orders: int = 0
    blind: str | None = None

    def __post_init__(self) -> None:
        for name in ("loss", "drawdown"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} of a reading must be finite, was {getattr(self, name)}")
        if self.volatility is not None and not 0.0 <= self.volatility < math.inf:
            raise ValueError(f"volatility of a reading must be at least 0 and finite, was {self.volatility}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerState:
    """Where the breaker stands. `BreakerState()` is closed and has read nothing yet.

    Parameters
    ----------
    phase : {"closed", "open", "half-open"}
    reason : str or None
        What opened it; None when closed.
    until_ms : int
        When an open breaker may try, or when a half-open one gives its trials anew.
    openings : int
        How often it has opened since it was last closed by trials.
    given, succeeded : int
        Trials given and succeeded since it is half-open.
    outcomes : tuple of (ms, bool)
        When an order's outcome came and whether it was a success, oldest first.
    read_ms : int or None
        Time of the newest reading.
    clock_ms : int
        The latest time it has seen: time never runs backwards in it.
    """

    phase: Phase = "closed"
    reason: str | None = None
    until_ms: int = 0
    openings: int = 0
    given: int = 0
    succeeded: int = 0
    outcomes: tuple[tuple[int, bool], ...] = ()
    read_ms: int | None = None
    clock_ms: int = 0


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether an order may pass, with what share of its size, and if not why and when to ask again."""

    admitted: bool
    size: float
    reason: str | None = None
    retry_after_ms: int | None = None


def read(state: BreakerState, settings: BreakerSettings, reading: Reading, now_ms: int) -> BreakerState:
    """Return the state after a reading: it opens, stays open, or lets time work."""
    now_ms = max(now_ms, state.clock_ms)
    state = replace(state, read_ms=now_ms, clock_ms=now_ms)
    reason = _alarm(settings, reading)
    # What lasts is not a trial that failed: the breaker stays open before time may make it half-open.
    return _at(state, settings, now_ms) if reason is None else _opened(state, settings, reason)


def record(state: BreakerState, settings: BreakerSettings, *, succeeded: bool, now_ms: int) -> BreakerState:
    """Return the state after an order's outcome at the broker (a refusal for lack of money is not a failure)."""
    state = _at(state, settings, now_ms)
    outcomes = (*state.outcomes, (state.clock_ms, succeeded))[-MOST_OUTCOMES:]
    begin = state.clock_ms - settings.outcome_window_ms
    state = replace(state, outcomes=tuple(outcome for outcome in outcomes if outcome[0] > begin))
    if state.phase == "half-open":
        if not succeeded:
            return _opened(state, settings, "a trial failed")
        if state.succeeded + 1 < settings.trials:
            return replace(state, succeeded=state.succeeded + 1)
        # Errors from before the trials must not open it again at once.
        return BreakerState(read_ms=state.read_ms, clock_ms=state.clock_ms)
    failed = sum(not success for _, success in state.outcomes)
    share = failed / len(state.outcomes)
    if state.phase == "closed" and len(state.outcomes) >= settings.least_outcomes and share >= settings.most_errors:
        seconds = settings.outcome_window_ms / 1_000
        return _opened(state, settings, f"{failed} of {len(state.outcomes)} orders failed within {seconds:g} s")
    return state


def admit(state: BreakerState, settings: BreakerSettings, now_ms: int) -> tuple[Admission, BreakerState]:
    """Return whether an order may pass now, and the state after it: a trial that is given counts."""
    state = _at(state, settings, now_ms)
    if state.read_ms is None or state.clock_ms - state.read_ms > settings.longest_silence_ms:
        age = "there was none" if state.read_ms is None else f"the newest is {state.clock_ms - state.read_ms} ms old"
        return Admission(False, 0.0, f"no fresh reading of loss and volatility: {age}"), state
    if state.phase == "closed":
        return Admission(True, 1.0), state
    if state.phase == "half-open" and state.given < settings.trials:
        return Admission(True, settings.trial_size, state.reason), replace(state, given=state.given + 1)
    return Admission(False, 0.0, state.reason, state.until_ms - state.clock_ms), state


def breaker_settings(limits: RiskLimits) -> BreakerSettings:
    """Return the settings that an account's limits ask for: what refuses a trade, when it is seen, stops them all."""
    return BreakerSettings(
        # Without a limit nothing but the loss of all stops it.
        most_loss=1.0 if limits.daily_loss is None else limits.daily_loss,
        most_drawdown=1.0 if limits.drawdown is None else limits.drawdown,
        most_orders=limits.orders_per_second,
    )


def _alarm(settings: BreakerSettings, reading: Reading) -> str | None:
    """Return what opens the breaker; None for a calm reading."""
    if reading.blind is not None:
        return reading.blind
    if reading.loss >= settings.most_loss:
        return f"the loss of the day was {reading.loss:.2%}, at most {settings.most_loss:.2%} passes"
    if reading.drawdown >= settings.most_drawdown:
        return f"the drawdown was {reading.drawdown:.2%}, at most {settings.most_drawdown:.2%} passes"
    if settings.most_orders is not None and reading.orders > settings.most_orders:
        return f"{reading.orders} orders were made within a second, at most {settings.most_orders} pass"
    if reading.volatility is not None and reading.volatility >= settings.most_volatility:
        return (
            f"volatility was {reading.volatility:.1f} times its long-run level, "
            f"less than {settings.most_volatility:g} passes"
        )
    return None


def _at(state: BreakerState, settings: BreakerSettings, now_ms: int) -> BreakerState:
    """Return the state at a time: an open breaker whose time is over is half-open."""
    state = replace(state, clock_ms=max(now_ms, state.clock_ms))
    if state.phase == "closed" or state.clock_ms < state.until_ms:
        return state
    # Half-open for so long without a verdict: outcomes were lost, so the trials are given again.
    until = state.clock_ms + settings.cool_down_ms
    return replace(state, phase="half-open", until_ms=until, given=0, succeeded=0)


def _opened(state: BreakerState, settings: BreakerSettings, reason: str) -> BreakerState:
    """Return the state opened now; what was open already stays so for its time from now on."""
    openings = state.openings if state.phase == "open" else state.openings + 1
    # A power of more than the bits of a day in milliseconds is beyond any longest cool-down.
    wait = min(settings.cool_down_ms * 2 ** min(openings - 1, 40), settings.longest_cool_down_ms)
    return replace(
        state, phase="open", reason=reason, until_ms=state.clock_ms + wait, openings=openings, given=0, succeeded=0
    )
