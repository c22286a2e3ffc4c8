"""What the market's active model says: the probability of a rise, and what that is worth as a vote."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from alpharay.features.feature_matrix import latest_features
from alpharay.market.candles import Candles
from alpharay.models.signal_model import SignalModel
from alpharay.signals.evidence import FLOOR, TRUST
from alpharay.signals.opinion import DEGRADED, Opinion, abstention, clipped
from alpharay.telemetry.model_metrics import PREDICTION_SECONDS, PREDICTIONS

FULL_LEAN = 0.1
"""How far from even a calibrated probability is whose score is 1: 0.6 asks to buy with full score."""


@dataclass(frozen=True, slots=True)
class ActiveModel:
    """The model that was made active for a market; `problem` says why it cannot be used, `model` is None then."""

    model_id: str
    model: SignalModel | None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReading:
    """A model's answer at the newest closed candle, and the features that it is from.

    Parameters
    ----------
    model_id : str or None
        None where no model is active.
    probability : float or None
        Of a rise, among the moves that pay; None when the model cannot say.
    features : Mapping
        By name; None for one that is not known yet.
    trained_until : int or None
        Open time of the last candle that the model has learned from, UTC ms.
    confidence : float
        See `model_confidence`.
    problem : str or None
        Why there is a model and no probability.
    """

    model_id: str | None = None
    probability: float | None = None
    features: Mapping[str, float | None] = field(default_factory=dict)
    trained_until: int | None = None
    confidence: float = 0.0
    problem: str | None = None


def model_reading(candles: Candles, active: ActiveModel | None) -> ModelReading:
    """Return what the market's active model says after the newest of `candles`, oldest first; at least one."""
    newest = latest_features(candles)
    features = {name: value if math.isfinite(value) else None for name, value in newest.row(-1).items()}
    if active is None:
        return ModelReading(features=features)
    if active.model is None:
        return ModelReading(model_id=active.model_id, features=features, problem=active.problem)
    card = active.model.card
    reading = ModelReading(
        model_id=active.model_id,
        features=features,
        trained_until=card.trained_until,
        confidence=model_confidence(active.model),
    )
    try:
        with PREDICTION_SECONDS.time():
            probability = float(active.model.predict(newest)[-1])
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a model, only the model is silent
        PREDICTIONS.labels("failed").inc()
        return _without(reading, f"{type(error).__name__}: {error}")
    if not 0.0 <= probability <= 1.0:
        PREDICTIONS.labels("unknown").inc()
        missing = sum(value is None for value in features.values())
        return _without(reading, f"{missing} of {len(features)} features are not known yet: too few candles")
    PREDICTIONS.labels("rise" if probability > 0.5 else "fall").inc()
    return ModelReading(
        model_id=reading.model_id,
        probability=probability,
        features=features,
        trained_until=reading.trained_until,
        confidence=reading.confidence,
    )


def model_confidence(model: SignalModel) -> float:
    """Return what a model's word is worth: as a validated strategy's, if it has passed its gate.

    The least and the most of `TRUST["VALIDATED"]`, by the part of its unseen folds in which it told more than the base
    rate does. A model that was made active without passing counts FLOOR.
    """
    evidence = model.card.evidence
    if not evidence.promoted:
        return FLOOR
    least, most = TRUST["VALIDATED"]
    won = sum(gain > 0.0 for gain in evidence.fold_gains) / max(len(evidence.fold_gains), 1)
    return least + (most - least) * won


def model_opinion(reading: ModelReading) -> Opinion:
    """Return the model's vote: (probability - 0.5) / FULL_LEAN, held to [-1, 1]."""
    if reading.model_id is None:
        return abstention("model", "no model is active for this market", "no_model")
    name = reading.model_id[:12]
    if reading.probability is None:
        return abstention("model", f"model {name} cannot speak: {reading.problem}", DEGRADED, "model_unusable")
    score = clipped((reading.probability - 0.5) / FULL_LEAN)
    why = f"model {name} gives a rise a probability of {reading.probability:.1%} among the moves that pay"
    return Opinion(name="model", score=score, confidence=reading.confidence, why=why)


def _without(reading: ModelReading, problem: str) -> ModelReading:
    return ModelReading(
        model_id=reading.model_id,
        features=reading.features,
        trained_until=reading.trained_until,
        confidence=reading.confidence,
        problem=problem,
    )
