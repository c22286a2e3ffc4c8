"""Write a strategy as data, backtest a thousand parameter sets of it at once, and look at the best.

    python examples/write_a_strategy.py

The same object is what the search evolves, what is stored as JSON, and what the signal service evaluates. The best of
a thousand sets in sample is no discovery: `alpharay discover` shows what is left out of sample.
"""

from __future__ import annotations

import numpy as np

from alpharay.backtest.market import open_market
from alpharay.backtest.population import backtest_population
from alpharay.market.sample import sample_candles
from alpharay.strategies.expression import P, close, ta
from alpharay.strategies.strategy import Integer, Real, Strategy

PULLBACK_IN_A_TREND = Strategy(
    name="PULLBACK_IN_A_TREND",
    description="Buy an oversold RSI above the long average; sell when the RSI has recovered or the trend is gone.",
    parameters=(
        Integer("trend", 50, 250, default=200),
        Integer("rsi", 2, 14, default=4),
        Real("oversold", 5.0, 35.0, default=25.0),
        Real("recovered", 50.0, 80.0, default=60.0),
    ),
    constraints=(P.oversold < P.recovered,),
    enter=(close > ta.sma(P.trend)) & (ta.rsi(P.rsi) < P.oversold),
    exit=(ta.rsi(P.rsi) > P.recovered) | (close < ta.sma(P.trend)),
)


def main() -> None:
    rng = np.random.default_rng(1)
    genomes = np.column_stack(
        [
            rng.integers(50, 251, 1_000),
            rng.integers(2, 15, 1_000),
            rng.uniform(5.0, 35.0, 1_000),
            rng.uniform(50.0, 80.0, 1_000),
        ]
    )
    market = open_market(sample_candles()[0])
    result = backtest_population(PULLBACK_IN_A_TREND, genomes, market)

    best = int(np.argmax(result.metric("sharpe")))
    print(f"{len(result)} backtests on {len(market.candles)} daily candles of {market.candles.symbol}")
    print(f"best in sample: {PULLBACK_IN_A_TREND.from_genome(genomes[best])}")
    print(result.row(best))


if __name__ == "__main__":
    main()
