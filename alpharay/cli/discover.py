"""`alpharay discover`: the job `ray_jobs.discover`, with the same options."""

from __future__ import annotations

from ray_jobs.discover import main as discover

HELP = """Search strategies' parameters on stored candles; show a leaderboard in and out of sample, and store the best.

Ctrl-C keeps what was found. The same seed finds the same strategies, on any number of workers. --report writes an HTML
file to read, --output a table of the champions.

Example: alpharay discover --symbol SPX --strategies MACD_CROSSOVER,SMA_RSI --seed 1
"""

__all__ = ["HELP", "discover"]
