"""The kill switch, the circuit breaker and the limits of each account, and who changed them and why.

A halt of `ALL` stops every order. One of `INCREASES`, and a breaker that is open, stops what opens a position or adds
to it: a way out stays open. A breaker that is half-open lets small trials through.

A transaction that creates or releases an order calls `require_trading` or `trading_terms` first: they lock the
account's row and that of all accounts FOR SHARE until it ends. A change locks the row FOR UPDATE. So a halt waits for
the releases under way, and once it has committed, no release commits that has not seen it, whatever a replica has in
memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.risk.circuit_breaker import BreakerState, Phase, breaker_settings
from alpharay.risk.limits import OpeningHalt, RiskLimits
from alpharay.telemetry.identifiers import new_identifier

ALL_ACCOUNTS = "*"
PAPER = "paper"

Kind = Literal["OPEN", "HALT", "RESUME", "LIMITS", "BREAKER"]
Scope = Literal["ALL", "INCREASES"]

_READ = "SELECT account, halted, halt_scope, phase, breaker, limits FROM trading_switches"

_EVENTS = "SELECT event_id, account, kind, actor, reason, details, changed_at FROM trading_events"


class UnknownAccountError(LookupError):
    """There is no such account; the text names those that there are."""


class TradingHaltedError(RuntimeError):
    """No order may be created or released; the text says whose switch or breaker forbids it."""


class EventIdReusedError(ValueError):
    """The id of a change belongs to another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingSwitch:
    """How an account stands: its kill switch, its circuit breaker, its limits."""

    account: str
    halted: bool = False
    scope: Scope = "ALL"
    breaker: BreakerState = field(default_factory=BreakerState)
    limits: RiskLimits = field(default_factory=RiskLimits)

    @property
    def phase(self) -> Phase:
        """The breaker's phase as it was stored."""
        return self.breaker.phase

    def refusal(self) -> str | None:
        """Return why no order at all may pass; None when some may."""
        return f"{self._whose} halted by the kill switch" if self.halted and self.scope == "ALL" else None

    def opening_refusal(self, *, trial: bool = False) -> str | None:
        """Return why nothing may pass that opens a position or adds to one; a `trial` passes a half-open breaker."""
        if self.halted:
            return self.refusal() or f"{self._whose} halted: positions may only be reduced"
        if self.phase == "closed" or (trial and self.phase == "half-open"):
            return None
        return f"{self._whose} stopped by the circuit breaker ({self.phase}): {self.breaker.reason}"

    @property
    def _whose(self) -> str:
        return "all accounts are" if self.account == ALL_ACCOUNTS else f"account {self.account!r} is"


@dataclass(frozen=True, slots=True)
class TradingTerms:
    """An account's switch, and what keeps it, or all accounts, from opening positions; None when nothing does."""

    switch: TradingSwitch
    halt: OpeningHalt | None


@dataclass(frozen=True, slots=True)
class TradingEvent:
    """One change of a switch, a breaker or limits."""

    event_id: str
    account: str
    kind: Kind
    actor: str
    reason: str
    details: Mapping[str, Any] | None
    changed_at: datetime


def require_trading(connection: Connection[TupleRow], account: str, *, trial: bool = False) -> TradingSwitch:
    """Return the account's switch, held until the transaction ends; raises when a position may not be opened.

    Call it in the transaction of the order, before anything of it is written or sent. Raises TradingHaltedError, and
    UnknownAccountError for an account that was never opened. A breaker that is half-open lets nothing but a `trial`
    through, which `circuit_breaker.admit` has given.
    """
    switches = _locked(connection, account, "SHARE")
    for switch in (switches[ALL_ACCOUNTS], switches[account]):
        reason = switch.opening_refusal(trial=trial)
        if reason is not None:
            raise TradingHaltedError(f"{reason}: nothing is released until it is resumed")
    return switches[account]


def trading_terms(
    connection: Connection[TupleRow], account: str, *, lock: Literal["SHARE", "UPDATE"] = "SHARE"
) -> TradingTerms:
    """Return under which terms an account may trade, held until the transaction ends; as `require_trading`.

    Raises TradingHaltedError only when nothing may move: the caller holds an order to the terms. `lock` is that of the
    account's own row, UPDATE for who is going to change it.
    """
    switches = _locked(connection, account, "SHARE") if lock == "SHARE" else _locked_to_change(connection, account)
    both = (switches[ALL_ACCOUNTS], switches[account])
    for switch in both:
        reason = switch.refusal()
        if reason is not None:
            raise TradingHaltedError(f"{reason}: nothing is released until it is resumed")
    return TradingTerms(switches[account], opening_halt(both))


def opening_halt(switches: Iterable[TradingSwitch]) -> OpeningHalt | None:
    """Return what keeps positions from being opened where all of `switches` count; None when nothing does."""
    stopping = [switch for switch in switches if switch.opening_refusal() is not None]
    if not stopping:
        return None
    trials = [
        breaker_settings(switch.limits).trial_size if switch.opening_refusal(trial=True) is None else 0.0
        for switch in stopping
    ]
    return OpeningHalt("; ".join(str(switch.opening_refusal()) for switch in stopping), min(trials))


def open_account(
    connection: Connection[TupleRow],
    account: str,
    *,
    actor: str,
    reason: str,
    limits: RiskLimits | None = None,
) -> TradingSwitch:
    """Create an account's switch, or return the one that there is, unchanged."""
    made = connection.execute(
        "INSERT INTO trading_switches (account, limits) VALUES (%s, %s::jsonb) ON CONFLICT DO NOTHING",
        (account, None if limits is None else _json(limits)),
    )
    if made.rowcount == 1:
        _append(connection, None, account, "OPEN", actor, reason, None if limits is None else {"to": limits})
    return _locked(connection, account, "UPDATE")[account]


def halt(
    connection: Connection[TupleRow],
    account: str = ALL_ACCOUNTS,
    *,
    actor: str,
    reason: str,
    scope: Scope = "ALL",
    event_id: str | None = None,
) -> TradingSwitch:
    """Halt an account, or all, in the connection's transaction; it waits for releases under way.

    A halt of what is halted is written down too, and never loosens it: from `ALL` only a resume leads to `INCREASES`.
    The same `event_id` again changes nothing, even after a resume. Raises UnknownAccountError: a halt of a misspelt
    account would halt nobody.
    """
    _locked(connection, account, "UPDATE")
    if _append(connection, event_id, account, "HALT", actor, reason, {"scope": scope}):
        connection.execute(
            "UPDATE trading_switches SET halted = true, "
            "halt_scope = CASE WHEN halted AND halt_scope = 'ALL' THEN 'ALL' ELSE %s END WHERE account = %s",
            (scope, account),
        )
    return _locked(connection, account, "UPDATE")[account]


def resume(
    connection: Connection[TupleRow],
    account: str = ALL_ACCOUNTS,
    *,
    actor: str,
    reason: str,
    event_id: str | None = None,
) -> TradingSwitch:
    """Take a halt back; as `halt`. An account stays halted while all accounts are, and a breaker stays as it is."""
    _locked(connection, account, "UPDATE")
    if _append(connection, event_id, account, "RESUME", actor, reason, None):
        connection.execute("UPDATE trading_switches SET halted = false WHERE account = %s", (account,))
    return _locked(connection, account, "UPDATE")[account]


def set_limits(
    connection: Connection[TupleRow],
    account: str,
    limits: RiskLimits,
    *,
    actor: str,
    reason: str,
    event_id: str | None = None,
) -> TradingSwitch:
    """Set an account's limits, and write down what they were; `event_id` as of `halt`. Raises UnknownAccountError."""
    return change_limits(connection, account, lambda _: limits, actor=actor, reason=reason, event_id=event_id)


def change_limits(
    connection: Connection[TupleRow],
    account: str,
    change: Callable[[RiskLimits], RiskLimits],
    *,
    actor: str,
    reason: str,
    event_id: str | None = None,
) -> TradingSwitch:
    """Set an account's limits to what `change` makes of them, under the row's lock; as `set_limits`."""
    before = _locked(connection, account, "UPDATE")[account].limits
    limits = change(before)
    if _append(connection, event_id, account, "LIMITS", actor, reason, {"from": before, "to": limits}):
        connection.execute(
            "UPDATE trading_switches SET limits = %s::jsonb WHERE account = %s", (_json(limits), account)
        )
    return _locked(connection, account, "UPDATE")[account]


def change_breaker(
    connection: Connection[TupleRow],
    account: str,
    change: Callable[[BreakerState], BreakerState],
    *,
    actor: str,
    evidence: object = None,
) -> BreakerState:
    """Replace the breaker's state by what `change` makes of it, under the row's lock.

    A new phase is an event, with the `evidence` that it was decided by. Raises UnknownAccountError.
    """
    before = _locked(connection, account, "UPDATE")[account].breaker
    after = change(before)
    if after == before:
        return before
    if after.phase != before.phase:
        reason = after.reason or f"was {before.phase}, is {after.phase}"
        details = {"from": before.phase, "to": after.phase}
        _append(
            connection,
            None,
            account,
            "BREAKER",
            actor,
            reason,
            details if evidence is None else {**details, "evidence": evidence},
        )
    connection.execute(
        "UPDATE trading_switches SET phase = %s, breaker = %s::jsonb WHERE account = %s",
        (after.phase, _json(after), account),
    )
    return after


def trading_switches(connection: Connection[TupleRow]) -> dict[str, TradingSwitch]:
    """Return all switches by account, without a lock: good for a copy, never for the release of an order."""
    return {switch.account: switch for switch in map(_switch_of, connection.execute(_READ).fetchall())}


def trading_events(
    connection: Connection[TupleRow], account: str | None = None, *, newest: int = 100
) -> list[TradingEvent]:
    """Return the newest events, of one account or of all, newest first."""
    where = "" if account is None else " WHERE account = %(account)s"
    rows = connection.execute(
        f"{_EVENTS}{where} ORDER BY position DESC LIMIT %(newest)s", {"account": account, "newest": newest}
    ).fetchall()
    return [TradingEvent(*row) for row in rows]


def _locked(
    connection: Connection[TupleRow], account: str, lock: Literal["SHARE", "UPDATE"]
) -> dict[str, TradingSwitch]:
    """Return the account's switch, locked; with a lock to share, that of all accounts too."""
    wanted = sorted({ALL_ACCOUNTS, account} if lock == "SHARE" else {account})
    # In the order of their names, so that two transactions never wait for each other.
    rows = connection.execute(f"{_READ} WHERE account = ANY(%s) ORDER BY account FOR {lock}", (wanted,)).fetchall()
    found = {str(row[0]): _switch_of(row) for row in rows}
    if len(found) < len(wanted):
        known = connection.execute("SELECT account FROM trading_switches ORDER BY account LIMIT 20").fetchall()
        raise UnknownAccountError(
            f"account {account[:64]!r} is unknown; known are {', '.join(row[0] for row in known)}"
        )
    return found


def _locked_to_change(connection: Connection[TupleRow], account: str) -> dict[str, TradingSwitch]:
    """Return both switches, that of all accounts locked to share, then the account's own to change it."""
    # The order of `_locked`, in two statements as the locks differ: '*' comes before every name.
    every = _locked(connection, ALL_ACCOUNTS, "SHARE")
    return every | _locked(connection, account, "UPDATE")


def _append(
    connection: Connection[TupleRow],
    event_id: str | None,
    account: str,
    kind: Kind,
    actor: str,
    reason: str,
    details: Mapping[str, object] | None,
) -> bool:
    """Append an event; False when it was appended before. Raises EventIdReusedError, ValueError without a reason.

    A repetition must agree in all details but `from`, which is what the first one has changed.
    """
    for name, text in (("actor", actor), ("reason", reason)):
        if not text.strip():
            raise ValueError(f"{name} of a change must say something, was {text!r}")
    event_id = event_id or new_identifier()
    made = connection.execute(
        "INSERT INTO trading_events (event_id, account, kind, actor, reason, details) "
        "VALUES (%s, %s, %s, %s, %s, %s::jsonb) ON CONFLICT (event_id) DO NOTHING",
        (event_id, account, kind, actor, reason, None if details is None else _json(details)),
    )
    if made.rowcount == 1:
        return True
    known = connection.execute(
        "SELECT account, kind, details FROM trading_events WHERE event_id = %s", (event_id,)
    ).fetchone()
    assert known is not None, "it is there, or it would have been inserted"
    if known[:2] != (account, kind) or not _agree(known[2], details):
        raise EventIdReusedError(f"event_id {event_id!r} belongs to another change, {known[:2]}: make a new id")
    return False


def _agree(known: Mapping[str, object] | None, details: Mapping[str, object] | None) -> bool:
    # A halt from before halts had a scope has no details.
    asked: Mapping[str, object] = msgspec.to_builtins(details or {})
    return known is None or all(known.get(name) == value for name, value in asked.items() if name != "from")


def _switch_of(row: TupleRow) -> TradingSwitch:
    account, halted, scope, phase, breaker, limits = row
    state = BreakerState() if breaker is None else msgspec.convert(breaker, BreakerState)
    assert state.phase == phase, f"breaker of {account} is {state.phase} in its state and {phase} in its column"
    return TradingSwitch(
        account=account,
        halted=halted,
        scope=scope,
        breaker=state,
        limits=RiskLimits() if limits is None else msgspec.convert(limits, RiskLimits),
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
