"""Shrunk covariance against scikit-learn and known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf

from alpharay.risk.covariance import shrunk_covariance

GENERATOR = np.random.default_rng(0)


def test_shrunk_correlation_equals_that_of_scikit_learn() -> None:
    table = GENERATOR.normal(size=(60, 8)) @ GENERATOR.normal(size=(8, 8)) * np.linspace(0.01, 5.0, 8)
    standard = (table - table.mean(axis=0)) / table.std(axis=0)
    expected, _ = ledoit_wolf(standard, assume_centered=True)
    scale = np.outer(table.std(axis=0), table.std(axis=0))
    np.testing.assert_allclose(shrunk_covariance(table), expected * scale, rtol=1e-9, atol=1e-12)


def test_shrunk_covariance_is_nearer_to_the_truth_than_the_sample_and_never_singular() -> None:
    root = np.eye(30) + 0.3
    truth = root @ root.T
    table = GENERATOR.normal(size=(20, 30)) @ root.T
    shrunk, sample = shrunk_covariance(table), np.cov(table.T, bias=True)
    assert np.linalg.norm(shrunk - truth) < np.linalg.norm(sample - truth)
    assert np.linalg.matrix_rank(sample) < 30
    assert np.linalg.eigvalsh(shrunk).min() > 0.0
    np.testing.assert_allclose(np.diag(shrunk), table.var(axis=0))


def test_asset_that_does_not_move_has_zeros() -> None:
    table = np.stack([GENERATOR.normal(size=50), np.full(50, 0.1)], axis=1)
    covariance = shrunk_covariance(table)
    assert covariance[0, 0] == pytest.approx(table[:, 0].var())
    np.testing.assert_array_equal(covariance[1], [0.0, 0.0])
    np.testing.assert_array_equal(shrunk_covariance(np.zeros((5, 2))), np.zeros((2, 2)))
    assert shrunk_covariance(table[:, :1]).shape == (1, 1)


def test_one_period_no_assets_and_gaps_are_refused() -> None:
    with pytest.raises(ValueError, match="periods from 2"):
        shrunk_covariance([[0.1, 0.2]])
    with pytest.raises(ValueError, match="assets from 1"):
        shrunk_covariance(np.empty((5, 0)))
    with pytest.raises(ValueError, match="finite"):
        shrunk_covariance([[0.1], [math.nan]])
