"""A load second by second: what was due, what was answered and how, and how long it took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from alpharay.load.open_load import NO_ANSWER, NOT_SENT, Outcome


@dataclass(frozen=True, slots=True)
class Second:
    """The requests that were due in one second; latencies in milliseconds, of those that were answered by 2xx."""

    second: int
    due: int
    answered: int
    turned_away: int
    failed: int
    not_sent: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """A whole load; latencies as in `Second`. What was `unanswered`, hung or cut, is among the failed."""

    requests: int
    answered: int
    turned_away: int
    failed: int
    unanswered: int
    not_sent: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


def by_second(outcomes: Sequence[Outcome]) -> list[Second]:
    """Return the seconds from the first to the last that has a request, empty ones included.

    503 and 429 with Retry-After are turned away; everything else that is not 2xx has failed.
    """
    grouped: dict[int, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        grouped[int(outcome.due_s)].append(outcome)
    return [_second(second, grouped.get(second, [])) for second in range(max(grouped, default=-1) + 1)]


def percentile_ms(outcomes: Sequence[Outcome], percent: float) -> float | None:
    """Return a percentile (nearest rank) of the latencies of those answered by 2xx; None when there is none."""
    ordered = sorted(outcome.latency_s for outcome in outcomes if is_answered(outcome))
    if not ordered:
        return None
    return ordered[min(int(len(ordered) * percent / 100.0), len(ordered) - 1)] * 1000.0


def is_answered(outcome: Outcome) -> bool:
    """Return whether the request was answered by 2xx."""
    return 200 <= outcome.status < 300


def is_turned_away(outcome: Outcome) -> bool:
    """Return whether the server said that it is full and when to come again."""
    return outcome.status in (503, 429) and outcome.retry_after


def figures(outcomes: Sequence[Outcome]) -> LoadFigures:
    """Return the whole load's numbers."""
    answered = sum(is_answered(outcome) for outcome in outcomes)
    turned_away = sum(is_turned_away(outcome) for outcome in outcomes)
    not_sent = sum(outcome.status == NOT_SENT for outcome in outcomes)
    return LoadFigures(
        requests=len(outcomes),
        answered=answered,
        turned_away=turned_away,
        failed=len(outcomes) - answered - turned_away - not_sent,
        unanswered=sum(outcome.status == NO_ANSWER for outcome in outcomes),
        not_sent=not_sent,
        p50_ms=percentile_ms(outcomes, 50.0),
        p95_ms=percentile_ms(outcomes, 95.0),
        p99_ms=percentile_ms(outcomes, 99.0),
    )


def _second(second: int, outcomes: Sequence[Outcome]) -> Second:
    answered = sum(is_answered(outcome) for outcome in outcomes)
    turned_away = sum(is_turned_away(outcome) for outcome in outcomes)
    not_sent = sum(outcome.status == NOT_SENT for outcome in outcomes)
    return Second(
        second=second,
        due=len(outcomes),
        answered=answered,
        turned_away=turned_away,
        failed=len(outcomes) - answered - turned_away - not_sent,
        not_sent=not_sent,
        p50_ms=percentile_ms(outcomes, 50.0),
        p95_ms=percentile_ms(outcomes, 95.0),
        p99_ms=percentile_ms(outcomes, 99.0),
    )
