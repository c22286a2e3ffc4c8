from __future__ import annotations

import numpy as np
import pytest

from alpharay.backtest.metrics import METRIC_NAMES
from alpharay.discovery.objectives import OBJECTIVES, objective_named, scores
from alpharay.market.candles import FloatArray


def metrics_of(**columns: list[float]) -> FloatArray:
    rows = len(next(iter(columns.values())))
    table = np.zeros((rows, len(METRIC_NAMES)))
    table[:, METRIC_NAMES.index("trades")] = 10.0
    for name, values in columns.items():
        table[:, METRIC_NAMES.index(name)] = values
    return table


def test_a_genome_that_does_not_trade_scores_worst_under_every_objective() -> None:
    table = metrics_of(trades=[0.0, 1.0], sharpe=[5.0, -9.0], total_return=[0.0, -0.99], max_drawdown=[0.0, 0.99])
    for objective in OBJECTIVES.values():
        values = scores(objective, table)
        assert values[0] == -np.inf
        assert values[1] > -np.inf


@pytest.mark.parametrize("name", ["sharpe", "sortino", "calmar", "profit_factor", "total_return"])
def test_what_is_not_a_finite_number_scores_worst(name: str) -> None:
    values = scores(objective_named(name), metrics_of(**{name: [np.nan, np.inf, -np.inf, -3.0]}))
    assert values.tolist() == [-np.inf, -np.inf, -np.inf, -3.0]


def test_tradestream_weighting_is_computed_from_the_equity_metrics() -> None:
    table = metrics_of(
        sharpe=[0.5, 2.0, -1.0],
        max_drawdown=[0.2, 0.0, 1.0],
        win_rate=[0.6, 1.0, 0.0],
        cagr=[0.2, 2.0, -1.0],
        profit_factor=[1.4, np.inf, 0.0],
    )
    expected = 0.25 * 0.5 + 0.2 * 0.8 + 0.2 * 0.6 + 0.2 * 0.4 + 0.15 * 0.8
    np.testing.assert_allclose(scores(objective_named("tradestream"), table), [expected, 1.0, 0.05], rtol=1e-12)


def test_an_unknown_objective_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"sharpe.*was 'luck'"):
        objective_named("luck")


def test_an_objective_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="one score for each of 2 genomes"):
        scores(lambda metrics: metrics[:1, 0], metrics_of(sharpe=[1.0, 2.0]))
