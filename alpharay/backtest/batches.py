"""A population, a chunk of genomes at a time, with every comparison that their rules make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from alpharay.backtest.bits import WordArray, word_count
from alpharay.backtest.market import Market
from alpharay.backtest.plan import Slots, plan_batch
from alpharay.backtest.rules import CodeArray, RuleProgram
from alpharay.backtest.steps import plan_steps
from alpharay.backtest.tiles import run_steps
from alpharay.market.candles import FloatArray
from alpharay.strategies.strategy import Strategy

BITS_BYTES = 48 * 1024 * 1024
"""Bytes of the bit sets of one chunk's comparisons."""

SETS_A_TEST = 3
"""A test has at most two directions and the bars on which it is known."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some genomes of a population and their comparisons; good until the next chunk is asked for."""

    genomes: slice
    bits: WordArray
    """(sets, words)."""
    rows: CodeArray
    """(genomes, tests, 3): see `alpharay.backtest.steps.plan_steps`."""


def compared_chunks(strategy: Strategy, program: RuleProgram, genomes: FloatArray, market: Market) -> Iterator[Chunk]:
    """Compute columns and comparisons, and yield the population's chunks in order.

    How a population is cut depends on its size and on memory, never what a genome's bits are.
    """
    if len(genomes) == 0:
        return
    slab = market.columns
    words = word_count(slab.bars)
    plan = plan_batch(strategy, program, genomes, slab)
    own = len(plan.own)
    size = min(plan.chunk, max(BITS_BYTES // max(len(program.tests) * SETS_A_TEST * words * 8, 1), 1))
    slots = Slots(plan, market)
    first = slab.scratch(own * size) if own else slab.capacity
    try:
        slots.fill_shared()
        for start in range(0, len(genomes), size):
            chunk = slice(start, min(start + size, len(genomes)))
            slots.fill_own(chunk, first)
            steps, rows, count = plan_steps(plan, program, chunk, slots)
            bits = np.empty((count, words), dtype=np.uint64)
            run_steps(slab.values, slab.bars, steps, bits)
            yield Chunk(chunk, bits, rows)
    finally:
        if own:
            slab.release(first)
