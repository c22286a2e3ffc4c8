"""The signal model: from a market's features to the probability that its price rises, and what that rests on.

The probability is of a rise among the moves that matter: that the price rises, given that over the next `horizon`
bars it moves so far that a trade pays its costs (`alpharay.models.trade_labels`). So it speaks of direction alone. The
chance that a move pays at all depends on volatility, which anything can predict; a model that is asked for it passes
its test on a market without any direction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from alpharay.features.feature_matrix import Features
from alpharay.market.candles import FloatArray
from alpharay.models.boosted_trees import BoostedTrees, log_odds
from alpharay.models.probability_calibration import PlattScaling


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalModelSettings:
    """How a signal model is trained.

    Parameters
    ----------
    horizon : int
        Bars between entry and exit of the trade that is foretold.
    fee, slippage : float
        What each side of it costs: fraction of the traded value, fraction of the price.
    folds : int
        Stretches of time that are foretold by models of the others.
    embargo : float
        Part of all bars that is not learned from after each stretch, at least `horizon` bars.
    rounds, depth : int
        Trees, and how deep each is.
    learning_rate : float
        How much of each tree is taken.
    row_sample, column_sample : float
        Part of the bars and of the features that each tree sees.
    smallest_leaf : float
        XGBoost's `min_child_weight`: a quarter for each bar's worth of labels that do not overlap, so 5 are 20 trades.
    ridge : float
        XGBoost's `lambda`, in the same unit.
    bootstraps : int
        Resamples of the gate's confidence bound.
    confidence : float
        Of that bound: 0.99 promotes at most about one of a hundred models of noise.
    seed : int
        The same seed and candles give the same bytes.
    """

    horizon: int = 12
    fee: float = 0.001
    slippage: float = 0.0002
    folds: int = 5
    embargo: float = 0.01
    rounds: int = 100
    depth: int = 3
    learning_rate: float = 0.02
    row_sample: float = 0.5
    column_sample: float = 0.2
    smallest_leaf: float = 5.0
    ridge: float = 10.0
    bootstraps: int = 2_000
    confidence: float = 0.99
    seed: int = 0

    def __post_init__(self) -> None:
        least_of = {"horizon": 1, "folds": 2, "rounds": 1, "depth": 1, "bootstraps": 100, "seed": 0}
        for name, least in least_of.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, was {getattr(self, name)}")
        for name in ("fee", "slippage", "embargo"):
            if not 0.0 <= getattr(self, name) < 0.5:
                raise ValueError(f"{name} must be in [0, 0.5), was {getattr(self, name)}")
        for name in ("learning_rate", "row_sample", "column_sample"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be in (0, 1], was {getattr(self, name)}")
        if not 0.5 <= self.confidence < 1.0:
            raise ValueError(f"confidence must be in [0.5, 1), was {self.confidence}")
        for name in ("smallest_leaf", "ridge"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0, was {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Reliability:
    """One part of the calibration curve: samples whose foretold probabilities are alike."""

    samples: int
    foretold: float
    """Their mean probability."""
    happened: float
    """The part of them in which the price rose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEvidence:
    """How well a model foretells what it was not trained on; losses are means of a sample.

    Parameters
    ----------
    samples : int
        Bars that were foretold out of fold.
    base_rate : float
        The part of them in which the price rose.
    log_loss, brier : float
        Of the calibrated probabilities out of fold.
    base_log_loss, base_brier : float
        Of always foretelling the base rate.
    gain : float
        `base_log_loss - log_loss`.
    gain_bound : float
        Lower confidence bound of the gain, by a bootstrap of blocks.
    fold_gains : tuple of float
        The gain in each fold, oldest first.
    reliability : tuple of Reliability
        The calibration curve, least probable first.
    promoted : bool
        Whether the gate lets it speak.
    reason : str
    """

    samples: int
    base_rate: float
    log_loss: float
    base_log_loss: float
    brier: float
    base_brier: float
    gain: float
    gain_bound: float
    fold_gains: tuple[float, ...]
    reliability: tuple[Reliability, ...]
    promoted: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What a model is of, what it was made of and how good it is.

    Parameters
    ----------
    exchange, symbol, timeframe : str
    feature_set : str
        Hash of the features that it takes.
    feature_names : tuple of str
    settings : SignalModelSettings
    trained_from, trained_until : int
        Open times (UTC, ms) of the first and the last candle that it was trained on.
    candles : int
    calibration : PlattScaling
    evidence : ModelEvidence
    libraries : Mapping
        Versions of what fitted it.
    """

    exchange: str
    symbol: str
    timeframe: str
    feature_set: str
    feature_names: tuple[str, ...]
    settings: SignalModelSettings
    trained_from: int
    trained_until: int
    candles: int
    calibration: PlattScaling
    evidence: ModelEvidence
    libraries: Mapping[str, Any] = field(default_factory=dict)


class FeatureSetError(ValueError):
    """A model was asked about features that it was not trained on."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SignalModel:
    """A fitted model. `booster` is XGBoost's JSON of it, `trees` the same as arrays."""

    card: ModelCard
    booster: bytes
    trees: BoostedTrees

    def __repr__(self) -> str:
        card = self.card
        return f"SignalModel({card.exchange} {card.symbol} {card.timeframe}, {len(self.trees.roots)} trees)"

    def predict(self, features: Features) -> FloatArray:
        """Return for each row the probability that the price rises; NaN where a feature is not known.

        Raises FeatureSetError for features of another definition.
        """
        if features.feature_set != self.card.feature_set:
            raise FeatureSetError(
                f"features of {self.card.symbol} {self.card.timeframe} must be of the set "
                f"{self.card.feature_set[:12]}, was {features.feature_set[:12]}: train again"
            )
        return self.card.calibration.probabilities(log_odds(self.trees, features.values))
