"""Training: a planted edge is found, noise is not, and the same candles give the same bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xgboost

from alpharay.features.feature_matrix import Features, feature_matrix, latest_features
from alpharay.market.synthetic import garch_candles
from alpharay.models.boosted_trees import log_odds
from alpharay.models.promotion import log_losses
from alpharay.models.signal_model import FeatureSetError, SignalModel, SignalModelSettings
from alpharay.models.signal_model_codec import checksum_of, model_to_bytes, training_id
from alpharay.models.signal_model_training import train_signal_model, training_set
from benchmarks.signal_model import drifting_candles

QUICK = SignalModelSettings(rounds=30, learning_rate=0.05, folds=4, bootstraps=500)


@pytest.fixture(scope="module")
def found() -> SignalModel:
    return train_signal_model(drifting_candles(3_000, seed=1, strength=0.5), QUICK)


def test_a_planted_edge_is_found(found: SignalModel) -> None:
    evidence = found.card.evidence
    assert evidence.promoted, evidence.reason
    assert evidence.log_loss < evidence.base_log_loss - 0.05
    assert evidence.brier < evidence.base_brier
    assert 0.0 < evidence.gain_bound < evidence.gain == pytest.approx(evidence.base_log_loss - evidence.log_loss)
    assert min(evidence.fold_gains) > 0.0
    assert sum(part.samples for part in evidence.reliability) == evidence.samples


def test_it_foretells_a_market_that_it_has_not_seen(found: SignalModel) -> None:
    unseen = drifting_candles(3_000, seed=99, strength=0.5)
    samples = training_set(unseen, feature_matrix(unseen), QUICK)
    chances = found.predict(feature_matrix(unseen))[samples.starts]
    base = np.full(len(chances), samples.outcomes.mean())
    gain = log_losses(base, samples.outcomes).mean() - log_losses(chances, samples.outcomes).mean()
    assert gain > 0.05
    # And means what it says: of those foretold with about 0.8 about 0.8 rose.
    for low, high in ((0.1, 0.3), (0.7, 0.9)):
        part = (chances >= low) & (chances < high)
        assert samples.outcomes[part].mean() == pytest.approx(chances[part].mean(), abs=0.12)


@pytest.mark.parametrize("seed", range(6))
def test_noise_is_rejected_and_told_so(seed: int) -> None:
    evidence = train_signal_model(garch_candles(2_500, seed), QUICK).card.evidence
    assert not evidence.promoted
    assert "so it abstains" in evidence.reason


def test_a_market_that_only_rises_has_too_little_to_learn_from() -> None:
    candles = drifting_candles(2_000, seed=0, strength=0.0)
    rise = 1.01 ** np.arange(2_000)
    scaled = replace(candles, open=candles.open * rise, high=candles.high * rise, low=candles.low * rise, close=candles.close * rise)  # fmt: skip  # noqa: E501
    with pytest.raises(ValueError, match="rises and falls to learn from must be 50 of each"):
        train_signal_model(scaled, QUICK)


@pytest.mark.parametrize("bars", [1, 300, 560])
def test_too_few_candles_are_told(bars: int) -> None:
    with pytest.raises(ValueError, match=r"labelled bars must be at least 4, were \d+|50 of each"):
        train_signal_model(garch_candles(bars, seed=0), QUICK)


def test_the_same_candles_give_the_same_bytes_and_a_seed_gives_others(found: SignalModel) -> None:
    candles = drifting_candles(3_000, seed=1, strength=0.5)
    assert model_to_bytes(train_signal_model(candles, QUICK)) == model_to_bytes(found)
    other = train_signal_model(candles, replace(QUICK, seed=1))
    assert other.booster != found.booster


def test_the_arrays_score_as_xgboost_does_to_the_bit(found: SignalModel) -> None:
    features = feature_matrix(drifting_candles(2_000, seed=5, strength=0.5))
    values = features.values[features.complete]
    booster = xgboost.Booster()
    booster.load_model(bytearray(found.booster))
    margins = booster.predict(xgboost.DMatrix(values), output_margin=True)
    assert np.array_equal(log_odds(found.trees, values).astype(np.float32), margins)


def test_the_latest_row_is_foretold_as_in_the_matrix(found: SignalModel) -> None:
    candles = drifting_candles(1_200, seed=6, strength=0.5)
    whole = found.predict(feature_matrix(candles))
    for bars in range(600, 1_200, 60):
        assert found.predict(latest_features(candles.slice(0, bars)))[0] == whole[bars - 1]
    assert np.isnan(whole[:400]).all()
    assert np.isfinite(whole[600:]).all()
    assert ((whole[600:] > 0.0) & (whole[600:] < 1.0)).all()


def test_features_of_another_set_are_refused(found: SignalModel) -> None:
    features = latest_features(garch_candles(600, seed=0))
    other = Features(features.open_time, features.values, features.names, "0" * 64)
    with pytest.raises(FeatureSetError, match=r"of the set .* was 000000000000: train again"):
        found.predict(other)


def test_labels_of_the_tested_stretch_are_not_learned_from() -> None:
    # Turned around in the last fold alone, the outcomes of all others must be foretold as before.
    candles = drifting_candles(2_000, seed=2, strength=0.5)
    whole = train_signal_model(candles, QUICK).card.evidence.fold_gains
    cut = 1_700
    later = np.where(np.arange(2_000) >= cut, candles.open / candles.open[cut], 1.0)
    mirrored = replace(candles, open=candles.open / later**2)
    turned = train_signal_model(mirrored, QUICK).card.evidence.fold_gains
    assert turned[0] != whole[0]
    assert turned[-1] < whole[-1] - 0.05


def test_what_was_trained_is_known_by_candles_and_settings() -> None:
    candles = garch_candles(50, seed=0)
    first = training_id(candles, QUICK)
    assert first == training_id(garch_candles(50, seed=0), replace(QUICK))
    others = {
        training_id(candles.slice(0, 49), QUICK),
        training_id(candles, replace(QUICK, horizon=3)),
        training_id(replace(candles, symbol="OTHER/USD"), QUICK),
        training_id(replace(candles, volume=candles.volume + 1.0), QUICK),
    }
    assert len(others | {first}) == 5
    assert checksum_of(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("horizon", 0, "horizon must be at least 1, was 0"),
        ("folds", 1, "folds must be at least 2"),
        ("fee", 0.5, r"fee must be in \[0, 0.5\)"),
        ("row_sample", 0.0, r"row_sample must be in \(0, 1\]"),
        ("confidence", 1.0, r"confidence must be in \[0.5, 1\)"),
        ("ridge", -1.0, "ridge must be at least 0"),
        ("smallest_leaf", float("nan"), "smallest_leaf must be at least 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(name: str, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(QUICK, **{name: value})
