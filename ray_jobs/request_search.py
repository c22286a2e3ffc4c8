"""What a request asks for, done: parameters searched on one market or on a pool of them, or rules evolved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from alpharay.bus.messages import DiscoveredStrategy, DiscoveryRequest
from alpharay.discovery.checkpoint import Checkpoint
from alpharay.discovery.evaluation import Executor
from alpharay.discovery.open_markets import OpenMarkets
from alpharay.discovery.pooled import PooledReport, discover_pooled
from alpharay.discovery.report import DiscoveryReport, Generation, OnGeneration, StopReason
from alpharay.discovery.rule_checkpoint import RuleCheckpoint
from alpharay.discovery.rule_evolution import evolve_rules
from alpharay.discovery.search import discover_all
from alpharay.market.candles import Candles
from alpharay.store.candle_rows import Market
from alpharay.store.checkpoints import StoredCheckpoint
from alpharay.store.requests import requested_costs, requested_evolution, requested_pool, requested_search
from ray_jobs.discovery_messages import (
    answered,
    champion_messages,
    pool_messages,
    requested_strategy,
    run_progress,
)
from ray_jobs.stored_states import (
    ContentOf,
    contents_of_evolution,
    contents_of_search,
    go_on,
    stored_evolution,
    stored_search,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How requests are searched and watched: nothing here changes what is found."""

    executor: Executor
    on_generation: OnGeneration | None = None
    on_state: Callable[[ContentOf], None] | None = None
    """Told after each round how far the searches are."""
    stored: Mapping[str, StoredCheckpoint] = field(default_factory=dict)
    """What earlier searches that were cut off have left, by run id."""
    time_budget_s: float | None = None
    markets: OpenMarkets | None = None
    """Keeps the columns of searches in this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the search of one request has found."""

    request: DiscoveryRequest
    """That it answers: of a search that was cut short, the one with as many generations as it had."""
    messages: list[DiscoveredStrategy]
    progress: dict[str, object]
    """What the row of the run keeps."""
    stop_reason: StopReason
    generations: int
    evaluations: int


def found_by(asked: DiscoveryRequest, report: DiscoveryReport) -> Found:
    """Return what a search on one market has found."""
    return found_rules(asked, [report])


def found_in_pool(asked: DiscoveryRequest, report: PooledReport) -> Found:
    """Return what a search on several markets has found."""
    request = answered(asked, report.stop_reason, len(report.log))
    return _found(request, report, pool_messages(request, report))


def found_rules(asked: DiscoveryRequest, reports: Sequence[DiscoveryReport]) -> Found:
    """Return what an evolution has found, from the reports of its rules, of which there is one at least."""
    request = answered(asked, reports[0].stop_reason, len(reports[0].log))
    messages = [message for report in reports for message in champion_messages(request, report)]
    return _found(request, reports[0], messages)


def requested_markets(request: DiscoveryRequest) -> tuple[Market, ...]:
    """Return the markets whose candles the search of a request needs."""
    pool = requested_pool(request)
    return (Market(request.exchange, request.symbol, request.timeframe),) if pool is None else pool[0]


def search_requests(requests: Sequence[DiscoveryRequest], candles: Sequence[Candles], course: Course) -> list[Found]:
    """Search requests that differ in their strategy only, on the candles of `requested_markets`, in that order.

    A stored state of other candles or of other code is not gone on from. Raises ValueError or LookupError when they
    cannot be searched.
    """
    if requests[0].evolution is not None:
        return [_evolve(request, candles[0], course) for request in requests]
    state = stored_search(course.stored)
    if requests[0].pool is not None:
        pooled = go_on(state, lambda start: _search_pool(requests, candles, course, start))
        return [found_in_pool(*pair) for pair in zip(requests, pooled, strict=True)]
    reports = go_on(state, lambda start: _search(requests, candles[0], course, start))
    return [found_by(*pair) for pair in zip(requests, reports, strict=True)]


def _search(
    requests: Sequence[DiscoveryRequest], candles: Candles, course: Course, state: Checkpoint | None
) -> list[DiscoveryReport]:
    costs, frictions = requested_costs(requests[0])
    return discover_all(
        [requested_strategy(request) for request in requests],
        candles,
        requested_search(requests[0]),
        executor=course.executor,
        on_generation=course.on_generation,
        costs=costs,
        frictions=frictions,
        time_budget_s=course.time_budget_s,
        resume=state,
        on_checkpoint=_saving(course),
        markets=course.markets,
    )


def _search_pool(
    requests: Sequence[DiscoveryRequest], candles: Sequence[Candles], course: Course, state: Checkpoint | None
) -> list[PooledReport]:
    costs, frictions = requested_costs(requests[0])
    pool = requested_pool(requests[0])
    assert pool is not None, "the requests are of a pool"
    return discover_pooled(
        [requested_strategy(request) for request in requests],
        candles,
        requested_search(requests[0]),
        limits=pool[1],
        frictions=frictions,
        executor=course.executor,
        on_generation=course.on_generation,
        costs=costs,
        time_budget_s=course.time_budget_s,
        resume=state,
        on_checkpoint=_saving(course),
    )


def _saving(course: Course) -> Callable[[Checkpoint], None] | None:
    on_state = course.on_state
    return None if on_state is None else lambda checkpoint: on_state(contents_of_search(checkpoint))


def _evolve(request: DiscoveryRequest, candles: Candles, course: Course) -> Found:
    last: list[Generation] = []

    def watched(generation: Generation) -> None:
        last[:] = [generation]
        if course.on_generation is not None:
            course.on_generation(generation)

    before = stored_evolution(course.stored)
    reports = evolve_request(request, candles, replace(course, on_generation=watched), before)
    if reports:
        return found_rules(request, reports)
    # No rule traded often enough; how the evolution ended was told, or it had ended before.
    if not last and before is not None:
        last = list(before.log[-1:])
    return Found(
        request=request,
        messages=[],
        progress={},
        stop_reason=(last[0].stop_reason if last else None) or "interrupted",
        generations=last[0].generation if last else 0,
        evaluations=last[0].evaluations if last else 0,
    )


def evolve_request(
    request: DiscoveryRequest, candles: Candles, course: Course, before: RuleCheckpoint | None
) -> list[DiscoveryReport]:
    """Evolve rules as a request asks for, from where an earlier evolution was cut off; return a report for each.

    Raises ValueError for a request of another kind.
    """
    settings = requested_evolution(request)
    if settings is None:
        raise ValueError(f"run {request.run_id} searches parameters, and evolves no rules")
    costs, frictions = requested_costs(request)
    on_state = course.on_state
    reports = go_on(
        before,
        lambda state: evolve_rules(
            candles,
            settings,
            executor=course.executor,
            on_generation=course.on_generation,
            costs=costs,
            frictions=frictions,
            time_budget_s=course.time_budget_s,
            resume=state,
            on_checkpoint=None if on_state is None else lambda saved: on_state(contents_of_evolution(saved)),
            markets=course.markets,
        ),
    )
    # One evolution found them all: whoever adds the reports up must not count its backtests once a rule.
    return [*reports[:1], *(replace(report, evaluations=0) for report in reports[1:])]


def _found(
    request: DiscoveryRequest, report: DiscoveryReport | PooledReport, messages: list[DiscoveredStrategy]
) -> Found:
    return Found(
        request=request,
        messages=messages,
        progress=run_progress(report),
        stop_reason=report.stop_reason,
        generations=len(report.log),
        evaluations=report.evaluations,
    )
