"""Backtest signals that you computed yourself, in any way you like.

    python examples/backtest_your_signals.py

Signals are one flag a candle, decided on its close; they are filled at the next candle's open.
"""

from __future__ import annotations

import numpy as np

from alpharay.backtest.costs import Costs
from alpharay.backtest.single import backtest
from alpharay.backtest.stops import Stops
from alpharay.market.sample import sample_candles


def main() -> None:
    candles = sample_candles()[0]
    year_before = np.concatenate([np.full(252, np.nan), candles.close[:-252]])
    rising = candles.close > year_before  # a comparison with NaN is false: no signal in the first year
    falling = candles.close < year_before

    result = backtest(candles, rising, falling, costs=Costs(fee=0.0005), stops=Stops(stop_loss=0.15))

    metrics = result.metrics
    print(f"{candles.symbol}: {len(candles)} candles, {int(metrics.trades)} trades after costs")
    print(f"return {metrics.total_return:+.1%}, Sharpe {metrics.sharpe:.2f}, drawdown {metrics.max_drawdown:.1%}")
    print(result.trades.select("entry_time", "exit_time", "return", "exit_reason").tail(5))


if __name__ == "__main__":
    main()
