"""Gradient-boosted trees as arrays: what XGBoost fitted, scored without XGBoost.

XGBoost's own prediction of one row takes half a millisecond and its import a second; these arrays take microseconds,
and give the same bits: it compares and adds in single precision, tree by tree, and so does this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from numba import njit

from alpharay.market.candles import FloatArray

Float32Array = npt.NDArray[np.float32]
Int32Array = npt.NDArray[np.int32]

_LEAF = -1
_EVEN_ODDS = 0.5


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class BoostedTrees:
    """The nodes of all trees, one tree after the other; a leaf has no children.

    Parameters
    ----------
    features : int
        Columns of a row.
    roots : Int32Array
        First node of each tree.
    left, right : Int32Array
        Children of each node, -1 at a leaf; always behind their parent.
    column : Int32Array
        The feature that a node asks for.
    value : Float32Array
        Left below this value; at a leaf what it adds to the log-odds.
    """

    features: int
    roots: Int32Array
    left: Int32Array
    right: Int32Array
    column: Int32Array
    value: Float32Array


def trees_of_xgboost(document: bytes) -> BoostedTrees:
    """Return the trees of an XGBoost model in its JSON format.

    It must be a `gbtree` of numeric splits for `binary:logistic` with base score 0.5. Raises ValueError where it is
    not, or where a tree leads outside itself: what a file says is checked before compiled code follows it.
    """
    try:
        learner = msgspec.json.decode(document)["learner"]
        name, booster = learner["objective"]["name"], learner["gradient_booster"]["name"]
        trees: list[dict[str, Any]] = learner["gradient_booster"]["model"]["trees"]
        parameters = learner["learner_model_param"]
        features = int(parameters["num_feature"])
        base_score = float(str(parameters["base_score"]).strip("[]"))
        nodes = [_nodes(tree, features) for tree in trees]
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"the trees must be an XGBoost model as JSON: {type(error).__name__}: {error}") from error
    if (name, booster, base_score) != ("binary:logistic", "gbtree", _EVEN_ODDS):
        raise ValueError(
            "the trees must be a gbtree for binary:logistic with base score 0.5, "
            f"was {booster} for {name} with base score {base_score}"
        )
    sizes = [len(tree[0]) for tree in nodes]
    roots = np.cumsum([0, *sizes[:-1]], dtype=np.int32) if sizes else np.empty(0, dtype=np.int32)
    left, right, column, value = (
        np.concatenate([tree[part] for tree in nodes]) if nodes else np.empty(0) for part in range(4)
    )
    shift = np.repeat(roots, sizes)
    return BoostedTrees(
        features=features,
        roots=roots,
        left=np.where(left == _LEAF, _LEAF, left + shift).astype(np.int32),
        right=np.where(right == _LEAF, _LEAF, right + shift).astype(np.int32),
        column=column.astype(np.int32),
        value=value.astype(np.float32),
    )


def log_odds(trees: BoostedTrees, values: FloatArray) -> FloatArray:
    """Return the log-odds of each row of (rows, features) `values`; NaN where one of them is not finite."""
    if values.ndim != 2 or values.shape[1] != trees.features:
        raise ValueError(f"values must have the shape (rows, {trees.features}), was {values.shape}")
    odds = np.full(len(values), np.nan)
    known = np.isfinite(values).all(axis=1)
    rows = np.ascontiguousarray(values[known], dtype=np.float32)
    odds[known] = _sums(trees.roots, trees.left, trees.right, trees.column, trees.value, rows)
    return odds


def _nodes(tree: dict[str, Any], features: int) -> tuple[Int32Array, Int32Array, Int32Array, Float32Array]:
    left = np.asarray(tree["left_children"], dtype=np.int32)
    right = np.asarray(tree["right_children"], dtype=np.int32)
    column = np.asarray(tree["split_indices"], dtype=np.int32)
    value = np.asarray(tree["split_conditions"], dtype=np.float32)
    count = len(left)
    if count == 0 or any(part.shape != (count,) for part in (left, right, column, value)):
        raise ValueError("a tree must have as many children, columns and values as nodes, at least one")
    if tree.get("categories_nodes"):
        raise ValueError("a tree must split numbers, had categories")
    inner = left != _LEAF
    children = np.concatenate([left[inner], right[inner]])
    parents = np.tile(np.flatnonzero(inner), 2)
    if (children <= parents).any() or (children >= count).any() or (right[~inner] != _LEAF).any():
        raise ValueError("the children of a tree's node must stand behind it")
    if (column[inner] < 0).any() or (column[inner] >= features).any():
        raise ValueError(f"a tree must ask for columns below {features}, was {column[inner].max()}")
    if not np.isfinite(value).all():
        raise ValueError("the values of a tree must be finite")
    return left, right, column, value


@njit(cache=True, nogil=True)
def _sums(
    roots: Int32Array, left: Int32Array, right: Int32Array, column: Int32Array, value: Float32Array, rows: Float32Array
) -> Float32Array:
    sums = np.zeros(rows.shape[0], dtype=np.float32)
    for i in range(rows.shape[0]):
        total = np.float32(0.0)
        for root in roots:
            node = root
            while left[node] >= 0:
                node = left[node] if rows[i, column[node]] < value[node] else right[node]
            total += value[node]
        sums[i] = total
    return sums
