"""How good the signals were: answered from a copy of what is known of them, a single one from the database."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from threading import Lock, Thread
from typing import Any, TypeVar

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import PoolTimeout

from alpharay.analytics.decisions import MarketName
from alpharay.analytics.record import Chosen, SignalRecord, by_strategy, by_symbol, confidence_curve, summary
from alpharay.market.symbol import resolve_symbol
from alpharay.signals.refusal import RefusedError, refuse
from alpharay.store.database import DatabasePool
from alpharay.store.signal_outcomes import ending_of, outcome_of
from alpharay.store.signal_record import load_signal_record, record_version
from alpharay.store.signals import LONGEST_ID, stored_signal
from serve_apps.background_copy import BackgroundCopy

RECORD_DAYS = 30.0
EVERY_S = 60.0
REREAD_ALL_S = 600.0
"""Also without a new signal the record is read again: its days move on."""
CONNECTION_TIMEOUT_S = 1.0
STATEMENT_TIMEOUT_MS = 2_000
ANSWERS_KEPT = 200

Result = TypeVar("Result")
Read = Callable[[Callable[[Connection[TupleRow]], Any]], Any]
"""Runs a reading on the database and returns what it has read; raises what psycopg raises."""


class SignalAnalytics:
    """What the HTTP side asks; an answer that was made of the same record before is given again."""

    def __init__(self, record: BackgroundCopy[SignalRecord], read: Read, *, default_quote: str) -> None:
        self.record = record
        self._read = read
        self._default_quote = default_quote
        self._lock = Lock()
        self._made_of: SignalRecord | None = None
        self._made: dict[tuple[object, ...], dict[str, Any]] = {}

    def start(self) -> None:
        """Begin to keep the record, in the background: nothing else waits for it."""
        Thread(target=self.record.start, name="signal-analytics-start", daemon=True).start()

    def stop(self) -> None:
        """End it."""
        self.record.stop()

    def summary(self, chosen: Chosen) -> dict[str, Any]:
        """Return how many signals there were, how they ended and how good they were."""
        return self._answer(chosen, ("summary",), summary)

    def by_symbol(self, chosen: Chosen) -> dict[str, Any]:
        """Return each market's figures."""
        return self._answer(chosen, ("by_symbol",), by_symbol)

    def by_strategy(self, chosen: Chosen, most: int) -> dict[str, Any]:
        """Return the figures of the strategies with most to say."""
        return self._answer(chosen, ("by_strategy", most), lambda record, meant: by_strategy(record, meant, most))

    def calibration(self, chosen: Chosen, bins: int) -> dict[str, Any]:
        """Return the calibration curve of the confidences."""
        return self._answer(chosen, ("calibration", bins), lambda record, meant: confidence_curve(record, meant, bins))

    def signal(self, signal_id: str) -> dict[str, Any]:
        """Return one signal and what became of it; refuses when the database does not answer within seconds."""
        if not (0 < len(signal_id) <= LONGEST_ID and signal_id.isprintable()):
            raise _unknown_signal(signal_id)
        try:
            signal, outcome = self._read(
                lambda connection: (stored_signal(connection, signal_id), outcome_of(connection, signal_id))
            )
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout):
            raise refuse(
                "database_unavailable",
                "the database did not answer: the signal cannot be looked up",
                hint="try again; /analytics/summary is answered from memory",
                retry_after_s=2,
            ) from None
        if signal is None:
            raise _unknown_signal(signal_id)
        return {"signal": signal, "ending": ending_of(signal, outcome), "outcome": outcome}

    def status(self) -> dict[str, Any]:
        """Return how fresh the record is, for people and monitors."""
        held = self.record.held
        return {
            "ready": self.record.ready,
            "age_seconds": self.record.age_s(),
            "refresh_failures": self.record.failures,
            "last_error": self.record.last_error,
            "decisions": len(held.decisions),
            "complete": held.complete,
        }

    def _answer(
        self,
        chosen: Chosen,
        asked: tuple[object, ...],
        make: Callable[[SignalRecord, Chosen], dict[str, Any]],
    ) -> dict[str, Any]:
        if not self.record.ready:
            raise refuse(
                "not_ready",
                "the record of signals is not loaded yet",
                hint="check that PostgreSQL runs (`alpharay stack status`)",
                retry_after_s=2,
            )
        record = self.record.held
        meant = self._meant(record, chosen)
        key = (meant, *asked)
        with self._lock:
            if self._made_of is not record or len(self._made) >= ANSWERS_KEPT:
                self._made_of, self._made = record, {}
            made = self._made.get(key)
        if made is None:
            made = make(record, meant)
            with self._lock:
                if self._made_of is record:
                    self._made[key] = made
        return {**made, "record_age_seconds": self.record.age_s(), "last_error": self.record.last_error}

    def _meant(self, record: SignalRecord, chosen: Chosen) -> Chosen:
        """Return what is asked for with its symbol in full; refuses a market that no signal was about."""
        if chosen.symbol is not None:
            try:
                chosen = replace(chosen, symbol=resolve_symbol(chosen.symbol, self._default_quote))
            except ValueError as error:
                raise refuse("invalid_field", str(error), field="symbol", value=chosen.symbol) from None
        if chosen != Chosen() and not any(chosen.takes(market) for market, _, _ in record.endings):
            raise _unknown_market(chosen, record)
        return chosen


def record_source(
    pool: DatabasePool, *, days: float = RECORD_DAYS, monotonic: Callable[[], float] = time.monotonic
) -> Callable[[], SignalRecord]:
    """Return the function that reads the record, and returns the one it has while nothing is new."""
    version: object = None
    read_at = 0.0
    held = SignalRecord(days=days)

    def read() -> SignalRecord:
        nonlocal version, read_at, held
        with pool.connection() as connection:
            now, newest = monotonic(), record_version(connection)
            if newest != version or now - read_at >= REREAD_ALL_S:
                held = load_signal_record(connection, days=days)
                version, read_at = newest, now
        return held

    return read


def signal_analytics(pool: DatabasePool, *, default_quote: str) -> SignalAnalytics:
    """Return the analytics of what a database keeps; the pool needs two connections."""
    record = BackgroundCopy(
        record_source(pool), SignalRecord(days=RECORD_DAYS), name="signal-analytics", every_s=EVERY_S
    )

    def read(work: Callable[[Connection[TupleRow]], Result]) -> Result:
        with pool.connection(CONNECTION_TIMEOUT_S) as connection:
            connection.execute("SELECT set_config('statement_timeout', %s, true)", (str(STATEMENT_TIMEOUT_MS),))
            return work(connection)

    return SignalAnalytics(record, read, default_quote=default_quote)


def _unknown_signal(signal_id: str) -> RefusedError:
    return refuse(
        "unknown_signal",
        f"no signal {signal_id[:100]!r} is stored",
        field="signal_id",
        value=signal_id,
        hint="a signal is stored a second after its answer where `ray_jobs.consume` runs, and kept for 180 days",
    )


def _unknown_market(chosen: Chosen, record: SignalRecord) -> RefusedError:
    field, value = next((name, value) for name, value in asdict(chosen).items() if value is not None)
    known = sorted({market for market, _, _ in record.endings})
    return refuse(
        "unknown_market",
        f"no signal of the last {record.days:g} days was about it; there are: {_listed(known)}",
        field=field,
        value=value,
        hint="leave filters out, or ask for signals first",
    )


def _listed(markets: list[MarketName]) -> str:
    shown = ", ".join(" ".join(market) for market in markets[:10]) or "none"
    return shown if len(markets) <= 10 else f"{shown} and {len(markets) - 10} more"
