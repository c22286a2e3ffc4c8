"""`alpharay compile`: compile the kernels ahead, for an image or a first run."""

from __future__ import annotations

import time

import typer


def compile_kernels() -> None:
    """Compile every kernel of the search and the signal into Numba's cache, so that no first request has to.

    Example: alpharay compile
    """
    from alpharay.discovery.search import SearchSettings, discover_all
    from alpharay.market.sample import sample_candles
    from alpharay.signals.vote import vote
    from alpharay.strategies.catalogue import CATALOGUE

    started = time.monotonic()
    candles = sample_candles()[0].tail(1_000)
    strategies = list(CATALOGUE.values())
    discover_all(strategies, candles, SearchSettings(population=8, generations=2))
    for strategy in strategies:
        vote(strategy, strategy.defaults, candles)
    typer.echo(f"kernels of {len(strategies)} strategies compiled in {time.monotonic() - started:.1f} s")
