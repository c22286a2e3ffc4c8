from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpharay.signals.decision import Decision, balance_of, decided, direction
from alpharay.signals.vote import Vote

LONG, FLAT, SHORT = Vote("LONG"), Vote("FLAT"), Vote("SHORT")


def combine(votes: list[Vote], weights: list[float]) -> Decision:
    balance = balance_of(votes, weights)
    assert balance is not None
    return decided(balance.score, balance.evidence, balance.reason)


def test_no_vote_has_no_balance() -> None:
    assert balance_of([], []) is None


@pytest.mark.parametrize(
    ("votes", "weights", "action", "confidence"),
    [
        ([LONG], [0.4], "BUY", 0.4),
        ([SHORT], [0.4], "SELL", 0.4),
        ([FLAT], [0.4], "HOLD", 0.4),
        ([LONG, SHORT], [0.4, 0.4], "HOLD", 0.4),
        ([LONG, FLAT], [0.4, 0.4], "BUY", 0.2),
        ([LONG, FLAT, FLAT, FLAT, FLAT], [0.4] * 5, "HOLD", 0.8 * 0.4),
        # A good one against nine that count next to nothing.
        ([LONG, *[FLAT] * 9], [0.6, *[0.01] * 9], "BUY", 0.6 / 0.69 * (0.36 + 9 * 0.0001) / 0.69),
    ],
)
def test_the_action_and_confidence_of_small_cases(
    votes: list[Vote], weights: list[float], action: str, confidence: float
) -> None:
    decision = combine(votes, weights)
    assert decision.action == action
    assert decision.confidence == pytest.approx(confidence)


def test_ten_copies_are_no_surer_than_one() -> None:
    assert combine([LONG] * 10, [0.3] * 10).confidence == pytest.approx(combine([LONG], [0.3]).confidence)


def test_a_fresh_exit_asks_for_the_trade_that_ends_the_position() -> None:
    assert direction(Vote("FLAT", event="EXIT", leaves="LONG")) == -1
    assert direction(Vote("FLAT", event="EXIT", leaves="SHORT")) == 1
    assert direction(Vote("FLAT", decided_at=1, bars_since=3)) == 0


@given(st.lists(st.tuples(st.sampled_from([LONG, FLAT, SHORT]), st.floats(0.01, 1.0)), min_size=1, max_size=30))
def test_confidence_is_between_none_and_the_largest_weight_and_mirrors(cast: list[tuple[Vote, float]]) -> None:
    votes, weights = [one for one, _ in cast], [weight for _, weight in cast]
    mirror = {LONG: SHORT, SHORT: LONG, FLAT: FLAT}
    decision, mirrored = combine(votes, weights), combine([mirror[one] for one in votes], weights)
    assert 0.0 <= decision.confidence <= max(weights) + 1e-12
    assert mirrored.confidence == pytest.approx(decision.confidence)
    assert mirrored.action == {"BUY": "SELL", "SELL": "BUY", "HOLD": "HOLD"}[decision.action]


@pytest.mark.parametrize("weight", [0.0, -0.1, 1.5, float("nan")])
def test_a_weight_outside_its_range_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        balance_of([LONG], [weight])


def test_a_missing_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="weights must be one a vote"):
        balance_of([LONG], [])
