"""Train a signal model on one market's candles: label, foretell out of fold, calibrate, judge, fit on all.

Everything is a function of candles and settings: the same ones give the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from alpharay.features.feature_matrix import Features, feature_matrix
from alpharay.market.candles import Candles, FloatArray, IntArray
from alpharay.models.boosted_trees import BoostedTrees, log_odds, trees_of_xgboost
from alpharay.models.label_uniqueness import average_uniqueness
from alpharay.models.probability_calibration import fit_platt
from alpharay.models.promotion import log_losses, mean_gain_bound, reliability, verdict
from alpharay.models.purged_folds import Fold, purged_folds
from alpharay.models.signal_model import ModelCard, ModelEvidence, SignalModel, SignalModelSettings
from alpharay.models.trade_labels import trade_labels

LEAST_OF_EACH = 50
"""Rises and falls that a fold must have to learn from."""

DEFAULTS = SignalModelSettings()


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class TrainingSet:
    """The labelled bars of a market, oldest first.

    Parameters
    ----------
    values : FloatArray
        Features, shape (samples, features), all known.
    outcomes : FloatArray
        1 for a rise, 0 for a fall.
    starts, ends : IntArray
        Bars at which each is decided and its outcome is known.
    """

    values: FloatArray
    outcomes: FloatArray
    starts: IntArray
    ends: IntArray


def training_set(candles: Candles, features: Features, settings: SignalModelSettings) -> TrainingSet:
    """Return the bars that have both all features and a label."""
    labels = trade_labels(candles, horizon=settings.horizon, fee=settings.fee, slippage=settings.slippage)
    bars = np.flatnonzero(features.complete & np.isfinite(labels.values))
    return TrainingSet(features.values[bars], labels.values[bars], bars, labels.known_at[bars])


def train_signal_model(candles: Candles, settings: SignalModelSettings = DEFAULTS) -> SignalModel:
    """Return a fitted model with its evidence, promoted or not; raises ValueError when there is too little to learn.

    Out of fold twice: a stretch is foretold by trees that have not seen it, and its score is made a probability by a
    calibration of the other stretches alone. The model itself is fitted on all bars, calibrated on all scores out of
    fold.
    """
    features = feature_matrix(candles)
    samples = training_set(candles, features, settings)
    folds = list(_folds(samples, settings, bars=len(candles)))
    scores = np.empty(len(samples.outcomes))
    for fold in folds:
        trees, _ = _fit(samples, fold.train, settings)
        scores[fold.test] = log_odds(trees, samples.values[fold.test])
    probabilities = np.empty(len(scores))
    for fold in folds:
        scaling = fit_platt(scores[fold.train], samples.outcomes[fold.train])
        probabilities[fold.test] = scaling.probabilities(scores[fold.test])
    trees, booster = _fit(samples, np.arange(len(samples.outcomes)), settings)
    card = ModelCard(
        exchange=candles.exchange,
        symbol=candles.symbol,
        timeframe=candles.timeframe,
        feature_set=features.feature_set,
        feature_names=features.names,
        settings=settings,
        trained_from=int(candles.open_time[0]),
        trained_until=int(candles.open_time[-1]),
        candles=len(candles),
        calibration=fit_platt(scores, samples.outcomes),
        evidence=_evidence(probabilities, samples.outcomes, folds, settings),
        libraries=_libraries(),
    )
    return SignalModel(card, booster, trees)


def _folds(samples: TrainingSet, settings: SignalModelSettings, *, bars: int) -> list[Fold]:
    if len(samples.outcomes) < settings.folds:
        raise ValueError(
            f"labelled bars must be at least {settings.folds}, were {len(samples.outcomes)}: wait for more"
        )
    embargo = max(settings.horizon, round(settings.embargo * bars))
    folds = list(purged_folds(samples.starts, samples.ends, folds=settings.folds, embargo=embargo))
    for fold in folds:
        rises = int(samples.outcomes[fold.train].sum())
        falls = len(fold.train) - rises
        if min(rises, falls) < LEAST_OF_EACH:
            raise ValueError(
                f"rises and falls to learn from must be {LEAST_OF_EACH} of each in every fold, were {rises} and "
                f"{falls}: take more candles, or a shorter horizon"
            )
    return folds


def _fit(samples: TrainingSet, places: IntArray, settings: SignalModelSettings) -> tuple[BoostedTrees, bytes]:
    """Return the trees that XGBoost fits to some of the samples, and its own JSON of them."""
    # A second to import, which a replica that only scores need not wait for.
    import xgboost

    parameters: dict[str, Any] = {
        "objective": "binary:logistic",
        "base_score": 0.5,
        "tree_method": "hist",
        "max_depth": settings.depth,
        "eta": settings.learning_rate,
        "subsample": settings.row_sample,
        "colsample_bytree": settings.column_sample,
        "min_child_weight": settings.smallest_leaf,
        "lambda": settings.ridge,
        "seed": settings.seed,
        # One thread: sums of floats depend on how many there are.
        "nthread": 1,
        "verbosity": 0,
    }
    data = xgboost.QuantileDMatrix(
        samples.values[places],
        samples.outcomes[places],
        # Twelve trades that run side by side tell little more than one.
        weight=average_uniqueness(samples.starts[places], samples.ends[places]),
        nthread=1,
    )
    booster = xgboost.train(parameters, data, settings.rounds)
    document = bytes(booster.save_raw("json"))
    return trees_of_xgboost(document), document


def _evidence(
    probabilities: FloatArray, outcomes: FloatArray, folds: list[Fold], settings: SignalModelSettings
) -> ModelEvidence:
    base_rate = float(outcomes.mean())
    losses = log_losses(probabilities, outcomes)
    # The base rate of all that is foretold, which no model could know: the best that a constant can do.
    base_losses = log_losses(np.full(len(outcomes), base_rate), outcomes)
    gains = base_losses - losses
    gain = float(gains.mean())
    bound = mean_gain_bound(
        gains,
        block=max(2 * settings.horizon, round(len(gains) ** (1.0 / 3.0))),
        bootstraps=settings.bootstraps,
        confidence=settings.confidence,
        seed=settings.seed,
    )
    promoted, reason = verdict(gain, bound, settings.confidence)
    return ModelEvidence(
        samples=len(outcomes),
        base_rate=base_rate,
        log_loss=float(losses.mean()),
        base_log_loss=float(base_losses.mean()),
        brier=float(((probabilities - outcomes) ** 2).mean()),
        base_brier=base_rate * (1.0 - base_rate),
        gain=gain,
        gain_bound=bound,
        fold_gains=tuple(float(gains[fold.test].mean()) for fold in folds),
        reliability=reliability(probabilities, outcomes),
        promoted=promoted,
        reason=reason,
    )


def _libraries() -> dict[str, str]:
    import xgboost

    return {"numpy": np.__version__, "xgboost": str(xgboost.__version__)}
