"""What backtests of many parameter sets give."""

from __future__ import annotations

from dataclasses import dataclass

from alpharay.backtest.metrics import METRIC_NAMES, Metrics, metrics_row
from alpharay.market.candles import FloatArray


@dataclass(frozen=True, slots=True)
class PopulationResult:
    """One row a genome, in their order."""

    metrics: FloatArray
    """(genomes, len(METRIC_NAMES))."""
    outcome: FloatArray
    """(genomes, len(OUTCOME_FIELDS)): the kernel's raw figures."""
    daily_equity: FloatArray
    """(genomes, days): equity at the end of each UTC day, from a start of one."""

    def __len__(self) -> int:
        return len(self.metrics)

    def metric(self, name: str) -> FloatArray:
        """Return one metric of every genome."""
        column: FloatArray = self.metrics[:, METRIC_NAMES.index(name)]
        return column

    def row(self, index: int) -> Metrics:
        """Return one genome's metrics."""
        return metrics_row(self.metrics[index])
