"""Write the documents: `python -m alpharay.documents docs`."""

from __future__ import annotations

import sys
from pathlib import Path

from alpharay.documents.catalogue import CHARTS, catalogue_document
from alpharay.documents.trade_chart import trade_chart
from alpharay.market.sample import sample_candles
from alpharay.strategies.catalogue import CATALOGUE


def main(folder: Path) -> None:
    """Write strategies.md and a chart a strategy; charts of strategies that are gone are removed."""
    charts = folder / CHARTS
    charts.mkdir(parents=True, exist_ok=True)
    markets = sample_candles()
    for strategy in CATALOGUE.values():
        (charts / f"{strategy.name}.svg").write_text(trade_chart(strategy, markets), encoding="utf-8")
    for chart in charts.glob("*.svg"):
        if chart.stem not in CATALOGUE:
            chart.unlink()
    (folder / "strategies.md").write_text(catalogue_document(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
