"""The catalogue: every strategy AlphaRay knows by name, grouped by what its rule rests on."""

from __future__ import annotations

from alpharay.strategies.catalogue.bands import BANDS
from alpharay.strategies.catalogue.breakouts import BREAKOUTS
from alpharay.strategies.catalogue.charts import CHARTS
from alpharay.strategies.catalogue.crossovers import CROSSOVERS
from alpharay.strategies.catalogue.levels import LEVELS
from alpharay.strategies.catalogue.notes import NOTES
from alpharay.strategies.catalogue.oscillators import OSCILLATORS
from alpharay.strategies.catalogue.patterns import PATTERNS
from alpharay.strategies.catalogue.stops import STOPS
from alpharay.strategies.catalogue.trends import TRENDS
from alpharay.strategies.catalogue.volumes import VOLUMES
from alpharay.strategies.strategy import Strategy

__all__ = ["CATALOGUE", "NOTES", "strategy_named"]

CATALOGUE: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in sorted(
        (*CROSSOVERS, *OSCILLATORS, *BANDS, *BREAKOUTS, *TRENDS, *VOLUMES, *LEVELS, *PATTERNS, *CHARTS, *STOPS),
        key=lambda strategy: strategy.name,
    )
}


def strategy_named(name: str) -> Strategy:
    """Return a strategy of the catalogue; raises KeyError that lists the names when it is not there."""
    try:
        return CATALOGUE[name]
    except KeyError:
        raise KeyError(f"strategy {name!r} is not in the catalogue; known are {', '.join(CATALOGUE)}") from None
