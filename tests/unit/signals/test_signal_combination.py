"""Components into one decision: the documented formula, and who may tip what."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpharay.signals.combination import BASE_WEIGHTS, DECIDING, combined
from alpharay.signals.decision import DECISIVE, balance_of, decided
from alpharay.signals.opinion import ComponentName, Opinion, abstention, clipped
from alpharay.signals.vote import Vote


def opinion(name: ComponentName, score: float, confidence: float) -> Opinion:
    return Opinion(name=name, score=score, confidence=confidence, why="so")


def test_the_formula_by_hand() -> None:
    made = combined([opinion("strategies", 0.8, 0.4), opinion("model", -0.5, 0.6), opinion("market_context", 1.0, 0.5)])
    mean = (0.55 * 0.4 + 0.35 * 0.6) / 0.9
    trust = {"strategies": 0.4, "model": 0.6, "market_context": 0.5 * mean}
    weights = {name: BASE_WEIGHTS[name] * trust[name] for name in trust}
    total = sum(weights.values())
    score = (weights["strategies"] * 0.8 - weights["model"] * 0.5 + weights["market_context"]) / total
    evidence = sum(weights[name] * trust[name] for name in trust) / total
    assert made.score == pytest.approx(score)
    assert made.shares == pytest.approx({name: weight / total for name, weight in weights.items()})
    assert made.decision.action == "HOLD"
    assert made.decision.confidence == pytest.approx((1.0 - score) * evidence)
    assert "strategies +0.80 with" in made.decision.reason


def test_strategies_alone_decide_as_they_did_before_there_were_components() -> None:
    votes, weights = [Vote("LONG"), Vote("SHORT"), Vote("FLAT")], [0.9, 0.2, 0.05]
    balance = balance_of(votes, weights)
    assert balance is not None
    alone = decided(balance.score, balance.evidence, "")
    made = combined(
        [
            opinion("strategies", balance.score, balance.evidence),
            abstention("model", "none"),
            abstention("market_context", "none"),
        ]
    )
    assert (made.decision.action, made.decision.confidence) == (alone.action, pytest.approx(alone.confidence))
    assert made.shares == {"strategies": 1.0, "model": 0.0, "market_context": 0.0}


@pytest.mark.parametrize("context", [1.0, -1.0])
def test_context_without_anyone_who_decides_is_hold_without_confidence(context: float) -> None:
    made = combined(
        [
            abstention("strategies", "no strategy is stored"),
            abstention("model", "no model"),
            opinion("market_context", context, 1.0),
        ]
    )
    assert (made.decision.action, made.decision.confidence, made.score) == ("HOLD", 0.0, 0.0)
    assert made.decision.reason == "no strategy is stored; no model"
    assert set(made.shares.values()) == {0.0}


def test_an_abstention_has_no_weight_whatever_it_carries() -> None:
    silent = Opinion(name="model", score=-1.0, confidence=1.0, why="", flags=("abstains",))
    made = combined([opinion("strategies", 1.0, 0.1), silent])
    assert made.shares == {"strategies": 1.0, "model": 0.0}
    assert made.decision.action == "BUY"


def test_nobody_with_confidence_is_hold() -> None:
    made = combined([opinion("strategies", 1.0, 0.0), opinion("market_context", 1.0, 1.0)])
    assert (made.decision.action, made.decision.confidence) == ("HOLD", 0.0)


scores = st.floats(-1.0, 1.0)
confidences = st.floats(0.0, 1.0)
some_opinions = st.lists(st.sampled_from(list(BASE_WEIGHTS)), unique=True).flatmap(
    lambda names: st.tuples(
        *(st.builds(opinion, st.just(name), scores, confidences) | st.just(abstention(name, "")) for name in names)
    )
)


@given(some_opinions)
def test_shares_sum_to_one_or_nothing_and_mirrored_opinions_mirror_the_decision(opinions: tuple[Opinion, ...]) -> None:
    made = combined(opinions)
    total = math.fsum(made.shares.values())
    assert total == pytest.approx(1.0) or total == 0.0
    assert all(0.0 <= share <= 1.0 for share in made.shares.values())
    assert 0.0 <= made.decision.confidence <= max((one.confidence for one in opinions), default=0.0) + 1e-12
    mirror = combined(
        [
            Opinion(name=one.name, score=-one.score, confidence=one.confidence, why="", flags=one.flags)
            for one in opinions
        ]
    )
    assert mirror.score == pytest.approx(-made.score)
    assert mirror.decision.confidence == pytest.approx(made.decision.confidence)


@given(confidences, confidences, st.booleans(), st.sampled_from([1.0, -1.0]), confidences)
def test_context_makes_no_trade_where_those_that_decide_are_even(
    first: float, second: float, with_model: bool, context: float, trust: float
) -> None:
    opinions = [opinion("strategies", 0.0, first)] + ([opinion("model", 0.0, second)] if with_model else [])
    assert combined([*opinions, opinion("market_context", context, trust)]).decision.action == "HOLD"
    assert combined([opinion("model", 0.0, first), opinion("market_context", context, trust)]).decision.action == "HOLD"


@given(scores, confidences, scores, confidences, scores, confidences)
def test_context_never_turns_a_trade_into_the_opposite_one(
    first: float, first_trust: float, second: float, second_trust: float, context: float, trust: float
) -> None:
    deciding = [opinion("strategies", first, first_trust), opinion("model", second, second_trust)]
    alone = combined(deciding).decision.action
    together = combined([*deciding, opinion("market_context", context, trust)]).decision.action
    assert {alone, together} != {"BUY", "SELL"}


def test_only_components_that_vote_are_taken_and_each_once() -> None:
    with pytest.raises(ValueError, match="must be one of strategies, model, market_context, was risk"):
        combined([opinion("risk", 0.0, 1.0)])
    with pytest.raises(ValueError, match="must speak once"):
        combined([opinion("model", 0.0, 1.0), opinion("model", 0.0, 1.0)])


def test_the_bounds_of_the_context_follow_from_the_base_weights() -> None:
    context = BASE_WEIGHTS["market_context"]
    least = min(BASE_WEIGHTS[name] for name in DECIDING)
    assert sum(BASE_WEIGHTS.values()) == pytest.approx(1.0)
    assert context / (context + least) < DECISIVE


@pytest.mark.parametrize(("score", "confidence"), [(1.1, 0.5), (math.nan, 0.5), (0.0, -0.1), (0.0, math.nan)])
def test_an_opinion_out_of_bounds_is_refused(score: float, confidence: float) -> None:
    with pytest.raises(ValueError, match="must be in"):
        opinion("model", score, confidence)


def test_a_clipped_number_is_in_bounds_and_nan_is_no_opinion() -> None:
    assert [clipped(value) for value in (3.0, -math.inf, 0.25, math.nan)] == [1.0, -1.0, 0.25, 0.0]
