"""A model's bytes: read back alike, refused when a bit, the checksum, the version or a tree is wrong."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from alpharay.features.feature_matrix import feature_matrix
from alpharay.market.synthetic import garch_candles
from alpharay.models.boosted_trees import log_odds, trees_of_xgboost
from alpharay.models.signal_model import SignalModel, SignalModelSettings
from alpharay.models.signal_model_codec import ModelBytesError, checksum_of, model_of_bytes, model_to_bytes
from alpharay.models.signal_model_training import train_signal_model


@pytest.fixture(scope="module")
def model() -> SignalModel:
    settings = SignalModelSettings(rounds=5, folds=2, bootstraps=100, smallest_leaf=0.0, ridge=0.0)
    return train_signal_model(garch_candles(1_500, seed=0), settings)


def read(content: bytes) -> SignalModel:
    return model_of_bytes(content, checksum_of(content))


def changed(content: bytes, *path: str | int, to: object) -> bytes:
    """Return the document with one value replaced."""
    document = json.loads(content)
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return json.dumps(document).encode()


def test_what_is_written_is_read_back(model: SignalModel) -> None:
    content = model_to_bytes(model)
    again = read(content)
    assert again.card == model.card
    assert model_to_bytes(again) == content
    features = feature_matrix(garch_candles(800, seed=1))
    np.testing.assert_array_equal(again.predict(features), model.predict(features))


def test_one_changed_bit_is_refused(model: SignalModel) -> None:
    content = model_to_bytes(model)
    checksum = checksum_of(content)
    for place in (0, len(content) // 2, len(content) - 1):
        damaged = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        with pytest.raises(ModelBytesError, match=f"must be {checksum}, was .*: they are damaged"):
            model_of_bytes(damaged, checksum)
    with pytest.raises(ModelBytesError, match="they are damaged"):
        model_of_bytes(content[:-1], checksum)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\x80\x04N.", b'{"format": 1}'])
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(ModelBytesError, match="no signal model"):
        read(content)


TREES = ("booster", "learner", "gradient_booster", "model", "trees")


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        (("version",), 2, "must have the format alpharay-signal-model 1, was alpharay-signal-model 2"),
        (("format",), "x" * 500, "was x{40} 1: train again"),
        (("card", "calibration", "slope"), -1.0, "slope must be at least 0"),
        (("card", "settings", "horizon"), 0, "horizon must be at least 1"),
        (("card", "symbol"), None, "cannot be read"),
        (("card", "feature_names"), ["one"], "must take 1 features, take 40"),
        (("booster",), {}, "must be an XGBoost model as JSON"),
        (("booster", "learner", "objective", "name"), "reg:squarederror", "was gbtree for reg:squarederror"),
        (("booster", "learner", "learner_model_param", "base_score"), "[9E-1]", "with base score 0.9"),
        ((*TREES, 0, "left_children", 0), 0, "must stand behind it"),
        ((*TREES, 0, "right_children", 0), 10_000, "must stand behind it"),
        ((*TREES, 0, "split_indices", 0), 40, "columns below 40, was 40"),
        ((*TREES, 0, "split_indices", 0), -1, "columns below 40"),
        ((*TREES, 0, "split_conditions", 0), None, "cannot be read"),
        ((*TREES, 0, "left_children"), [], "at least one"),
    ],
)
def test_a_document_that_does_not_fit_is_refused(
    model: SignalModel, path: tuple[str | int, ...], to: object, message: str
) -> None:
    with pytest.raises(ModelBytesError, match=message):
        read(changed(model_to_bytes(model), *path, to=to))


def test_a_replica_that_only_scores_does_not_import_xgboost() -> None:
    code = "import sys, alpharay.store.model_registry; sys.exit('xgboost' in sys.modules or 'sklearn' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_trees_by_hand() -> None:
    tree = {
        "left_children": [1, -1, 3, -1, -1],
        "right_children": [2, -1, 4, -1, -1],
        "split_indices": [0, 0, 1, 0, 0],
        "split_conditions": [1.0, -0.5, 2.0, 0.25, 4.0],
        "categories_nodes": [],
    }
    leaf = {
        "left_children": [-1],
        "right_children": [-1],
        "split_indices": [0],
        "split_conditions": [0.125],
        "categories_nodes": [],
    }
    learner = {
        "objective": {"name": "binary:logistic"},
        "gradient_booster": {"name": "gbtree", "model": {"trees": [tree, leaf, tree]}},
        "learner_model_param": {"num_feature": "2", "base_score": "5E-1"},
    }
    trees = trees_of_xgboost(json.dumps({"learner": learner}).encode())
    rows = np.array([[0.9, 9.0], [1.0, 1.9], [1.0, 2.0], [np.nan, 0.0], [0.0, np.inf]])
    np.testing.assert_array_equal(log_odds(trees, rows), [-0.875, 0.625, 8.125, np.nan, np.nan])
    with pytest.raises(ValueError, match=r"must have the shape \(rows, 2\), was \(1, 3\)"):
        log_odds(trees, np.zeros((1, 3)))
