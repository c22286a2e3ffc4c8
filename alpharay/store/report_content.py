"""What the report of a stored run, or of a stored strategy, is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.backtest.costs import Costs
from alpharay.discovery.split import Split
from alpharay.market.candles import Candles
from alpharay.market.resampling import resample
from alpharay.reports.content import ReportContent, ReportedStrategy, notes_on
from alpharay.reports.search_log import search_log_from_json
from alpharay.store.candle_rows import Market
from alpharay.store.candles import load_candles
from alpharay.store.kept_candles import require_kept
from alpharay.store.requests import requested_costs
from alpharay.store.runs import RunState, run_state
from alpharay.store.strategies import StoredStrategy
from alpharay.store.strategy_evidence import StoredEvidence, champions_of_run
from alpharay.store.validations import discovery_of, find_strategy, validations_of
from alpharay.strategies.codec import strategy_from_json


def report_content(connection: Connection[TupleRow], name: str) -> ReportContent:
    """Return the content for a run's id, or for the strategy whose id begins so.

    Raises LookupError when there is neither, or when its candles are gone; ValueError for a run that has not ended or
    rules that this code cannot read.
    """
    state = run_state(connection, name)
    if state is not None:
        return run_content(connection, state)
    try:
        stored = find_strategy(connection, name)
    except LookupError as error:
        raise LookupError(f"no run has the id {name!r}, and {error.args[0]}") from error
    return strategy_content(connection, stored)


def run_content(connection: Connection[TupleRow], state: RunState) -> ReportContent:
    """Return the content for a run; drawn in detail is the champion that has come furthest, else the best in sample."""
    if state.status != "DONE":
        raise ValueError(f"run {state.run_id} must be DONE to be reported, was {state.status}")
    if state.request.pool is not None:
        raise ValueError(
            f"run {state.run_id} is of several markets, and a report is of one: give the id of a strategy that it "
            "found, see `alpharay strategies list`"
        )
    found = champions_of_run(connection, state.run_id)
    progress = state.progress or {}
    if not found and progress.get("best") is not None:
        raise LookupError(
            f"the champions of run {state.run_id} are still on their way through Kafka: run "
            "`python -m ray_jobs.consume --once` first"
        )
    request = state.request
    candles = _candles(
        connection,
        Market(request.exchange, request.symbol, request.timeframe),
        request.start_time,
        request.end_time,
        request.resample_to,
    )
    costs, frictions = requested_costs(request)
    at = _row(candles, found[0][1].train_end_time) if found else max(int(len(candles) * request.train_fraction), 1)
    records = [_newest_validation(connection, item.strategy_id) for item, _ in found]
    shown = max(range(len(found)), key=lambda place: (_rank(found[place][0], records[place]), -place), default=0)
    return ReportContent(
        parts=Split(candles, at),
        strategies=tuple(_reported(stored, evidence) for stored, evidence in found),
        shown=shown,
        costs=costs,
        frictions=frictions,
        objective=request.objective,
        run_id=state.run_id,
        evaluations=_count(progress.get("evaluations")),
        log=search_log_from_json(_mapping(progress.get("log"))),
        validation=records[shown] if found else None,
        notes=notes_on(request.strategy_name),
    )


def strategy_content(connection: Connection[TupleRow], stored: StoredStrategy) -> ReportContent:
    """Return the content for one stored strategy on the window that it shows."""
    request = discovery_of(connection, stored)
    state = None if request is None else run_state(connection, request.run_id)
    progress = (state.progress if state is not None else None) or {}
    read = stored.timeframe if request is None else request.timeframe
    market = Market(stored.exchange, stored.symbol, read)
    candles = _candles(connection, market, stored.start_time, stored.end_time, stored.timeframe)
    costs, frictions = (Costs(), None) if request is None else requested_costs(request)
    return ReportContent(
        parts=Split(candles, _row(candles, stored.train_end_time)),
        strategies=(_reported(stored, stored),),
        costs=costs,
        frictions=frictions,
        objective=stored.objective or "score",
        run_id="" if request is None else request.run_id,
        evaluations=_count(progress.get("evaluations")),
        log=search_log_from_json(_mapping(progress.get("log"))),
        validation=_newest_validation(connection, stored.strategy_id),
        notes=notes_on(stored.strategy_name),
    )


def _candles(
    connection: Connection[TupleRow], market: Market, start_ms: int, end_ms: int, timeframe: str | None
) -> Candles:
    """Return the candles of a window, in the time frame that was searched where that is a coarser one."""
    require_kept(connection, market, start_ms)
    candles = load_candles(connection, market, start_ms=start_ms, end_ms=end_ms)
    if len(candles) < 2:
        raise LookupError(
            f"a report needs the candles of {' '.join(market)} from {start_ms} to {end_ms}, and {len(candles)} of them "
            "are stored: run `python -m ray_jobs.ingest` for that window"
        )
    return candles if timeframe is None or timeframe == market.timeframe else resample(candles, timeframe)


def _row(candles: Candles, time_ms: int) -> int:
    return int(np.searchsorted(candles.open_time, time_ms))


def _reported(stored: StoredStrategy, said: StoredStrategy | StoredEvidence) -> ReportedStrategy:
    return ReportedStrategy(
        strategy=strategy_from_json(stored.strategy),
        parameters=stored.parameters,
        score=said.score,
        in_sample=said.in_sample,
        out_of_sample=said.out_of_sample or None,
        strategy_id=stored.strategy_id,
        status=stored.status,
    )


def _newest_validation(connection: Connection[TupleRow], strategy_id: str) -> dict[str, Any] | None:
    ended = [item for item in validations_of(connection, strategy_id) if item.evidence is not None]
    return ended[0].evidence if ended else None


def _rank(stored: StoredStrategy, record: dict[str, Any] | None) -> int:
    order = ("CANDIDATE", "REJECTED", "RETIRED", "INSUFFICIENT", "VALIDATED", "DEPLOYED")
    return order.index(stored.status) if record is not None and stored.status in order else 0


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _mapping(value: object) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None
