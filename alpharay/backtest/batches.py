"""A population, a chunk of genomes at a time, with the program of every comparison that their rules make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from alpharay.backtest.decisions import DECIDED_WORDS
from alpharay.backtest.market import Market
from alpharay.backtest.plan import Slots, plan_batch
from alpharay.backtest.rules import CodeArray, RuleProgram
from alpharay.backtest.steps import plan_steps
from alpharay.backtest.tiles import Steps
from alpharay.market.candles import FloatArray
from alpharay.strategies.strategy import Strategy

BITS_BYTES = 8 * 1024 * 1024
"""Bytes of the bit sets of one chunk's comparisons in the words that are decided at a time."""

SETS_A_TEST = 3
"""A test has at most two directions and the bars on which it is known."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some genomes of a population and the program of their comparisons; good until the next chunk is asked for."""

    genomes: slice
    steps: Steps
    rows: CodeArray
    """(genomes, tests, 3): see `alpharay.backtest.steps.plan_steps`."""


def planned_chunks(strategy: Strategy, program: RuleProgram, genomes: FloatArray, market: Market) -> Iterator[Chunk]:
    """Compute columns, plan comparisons, and yield the population's chunks in order.

    How a population is cut depends on its size and on memory, never what a genome's bits are.
    """
    if len(genomes) == 0:
        return
    slab = market.columns
    plan = plan_batch(strategy, program, genomes, slab)
    own = len(plan.own)
    size = min(plan.chunk, max(BITS_BYTES // max(len(program.tests) * SETS_A_TEST * DECIDED_WORDS * 8, 1), 1))
    slots = Slots(plan, market)
    first = slab.scratch(own * size) if own else slab.capacity
    try:
        slots.fill_shared()
        for start in range(0, len(genomes), size):
            chunk = slice(start, min(start + size, len(genomes)))
            slots.fill_own(chunk, first)
            yield Chunk(chunk, *plan_steps(plan, program, chunk, slots))
    finally:
        if own:
            slab.release(first)
