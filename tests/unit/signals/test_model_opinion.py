"""A model's vote: what it is worth, and that one that cannot speak says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alpharay.features.feature_matrix import latest_features
from alpharay.market.candles import Candles
from alpharay.models.signal_model import SignalModel, SignalModelSettings
from alpharay.models.signal_model_training import train_signal_model
from alpharay.signals.evidence import FLOOR
from alpharay.signals.model_opinion import ActiveModel, ModelReading, model_confidence, model_opinion, model_reading
from benchmarks.signal_model import drifting_candles

QUICK = SignalModelSettings(rounds=10, learning_rate=0.1, folds=3, bootstraps=200)


@pytest.fixture(scope="module")
def candles() -> Candles:
    return drifting_candles(2_500, seed=1, strength=0.6)


@pytest.fixture(scope="module")
def model(candles: Candles) -> SignalModel:
    return train_signal_model(candles, QUICK)


def test_the_active_model_s_own_probability_is_read(candles: Candles, model: SignalModel) -> None:
    reading = model_reading(candles, ActiveModel("a" * 64, model))
    assert reading.probability == pytest.approx(float(model.predict(latest_features(candles))[-1]))
    assert (reading.model_id, reading.trained_until, reading.problem) == ("a" * 64, model.card.trained_until, None)
    opinion = model_opinion(reading)
    assert opinion.flags == ()
    assert opinion.confidence == model_confidence(model)


@pytest.mark.parametrize(
    ("probability", "score"), [(0.5, 0.0), (0.55, 0.5), (0.4, -1.0), (0.6, 1.0), (0.9, 1.0), (0.0, -1.0)]
)
def test_the_score_leans_as_far_as_the_probability(probability: float, score: float) -> None:
    assert model_opinion(ModelReading(model_id="a", probability=probability)).score == pytest.approx(score)


def test_no_model_abstains_and_features_are_told_all_the_same(candles: Candles) -> None:
    reading = model_reading(candles, None)
    opinion = model_opinion(reading)
    assert opinion.flags == ("abstains", "no_model")
    assert None not in reading.features.values()


def test_a_model_that_cannot_be_used_abstains_with_its_problem(candles: Candles) -> None:
    opinion = model_opinion(model_reading(candles, ActiveModel("b" * 64, None, "the bytes are damaged")))
    assert opinion.flags == ("abstains", "degraded", "model_unusable")
    assert "the bytes are damaged" in opinion.why


def test_too_few_candles_and_other_features_leave_it_without_a_word(candles: Candles, model: SignalModel) -> None:
    short = model_reading(candles.tail(30), ActiveModel("a", model))
    assert short.probability is None
    assert "features are not known yet" in str(short.problem)
    other = replace(model, card=replace(model.card, feature_set="0" * 64))
    reading = model_reading(candles, ActiveModel("a", other))
    assert "train again" in str(reading.problem)
    assert model_opinion(reading).abstains


def test_a_model_that_breaks_while_it_is_asked_is_silent_alone(candles: Candles, model: SignalModel) -> None:
    broken = replace(model, card=replace(model.card, calibration=None))  # type: ignore[arg-type]
    reading = model_reading(candles, ActiveModel("a", broken))
    assert reading.probability is None
    assert model_opinion(reading).flags == ("abstains", "degraded", "model_unusable")


def test_a_model_that_passed_counts_as_a_validated_strategy_and_one_that_did_not_next_to_nothing(
    model: SignalModel,
) -> None:
    def with_evidence(**changes: object) -> SignalModel:
        evidence = replace(model.card.evidence, **changes)  # type: ignore[arg-type]
        return replace(model, card=replace(model.card, evidence=evidence))

    assert model_confidence(with_evidence(promoted=True, fold_gains=(0.1, 0.1))) == 1.0
    assert model_confidence(with_evidence(promoted=True, fold_gains=(0.1, -0.1))) == 0.75
    assert model_confidence(with_evidence(promoted=True, fold_gains=())) == 0.5
    assert model_confidence(with_evidence(promoted=False)) == FLOOR
