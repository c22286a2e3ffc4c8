"""What every parameter set of a strategy decides, some words of bars at a time: settled bit sets, a row a rule."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from alpharay.backtest.bits import WordArray
from alpharay.backtest.rules import CodeArray, RuleCode, run_rule, settle_conflicts
from alpharay.backtest.tiles import TILE_WORDS, Steps, TileMemory, open_tiles, run_tile
from alpharay.market.candles import FloatArray

DECIDED_WORDS = 2 * TILE_WORDS
"""Words that are decided at a time: what a population compares, decides and looks up in them stays in the cache."""


class DecisionMemory(NamedTuple):
    """What decisions are made in, and what they know of the words before."""

    tiles: TileMemory
    bits: WordArray
    """(sets, DECIDED_WORDS)."""
    before: WordArray
    """The last word before of each set."""
    stack: WordArray
    decisions: WordArray
    """(genomes, rules, DECIDED_WORDS)."""


@njit(cache=True, nogil=True)
def open_decisions(steps: Steps, rules: RuleCode, genomes: int) -> DecisionMemory:
    """Return memory before the first word."""
    return DecisionMemory(
        open_tiles(steps),
        np.zeros((steps.bits, DECIDED_WORDS), dtype=np.uint64),
        np.zeros(steps.bits, dtype=np.uint64),
        np.empty((rules.depth, DECIDED_WORDS), dtype=np.uint64),
        np.empty((genomes, len(rules.ends), DECIDED_WORDS), dtype=np.uint64),
    )


@njit(cache=True, nogil=True)
def run_rules(
    values: FloatArray,
    bars: int,
    steps: Steps,
    rules: RuleCode,
    rows: CodeArray,
    memory: DecisionMemory,
    first_word: int,
    last_word: int,
) -> None:
    """Write what each rule of each genome says in the next words to `memory.decisions`; conflicts are not settled.

    What stands there past `last_word` means nothing.
    """
    bits, before, stack, decisions = memory.bits, memory.before, memory.stack, memory.decisions
    for word in range(first_word, last_word, TILE_WORDS):
        run_tile(values, bars, steps, memory.tiles, word, bits, word - first_word)
    codes, ends, literals = rules.codes, rules.ends, rules.literals
    for genome in range(len(rows)):
        first = 0
        for rule in range(len(ends)):
            run_rule(codes, first, ends[rule], literals, bits, before, rows, genome, stack)
            for index in range(DECIDED_WORDS):
                decisions[genome, rule, index] = stack[0, index]
            first = ends[rule]
    for row in range(len(before)):
        before[row] = bits[row, DECIDED_WORDS - 1]


@njit(cache=True, nogil=True)
def settle_decisions(decisions: WordArray) -> None:
    """Settle the conflicts of the rules of each genome."""
    for genome in range(len(decisions)):
        rules = decisions[genome]
        if len(rules) > 2:
            settle_conflicts(rules[0], rules[1], rules[2], rules[3])
        else:
            settle_conflicts(rules[0], rules[1], None, None)


@njit(cache=True, nogil=True)
def write_decisions(
    values: FloatArray, bars: int, steps: Steps, rules: RuleCode, rows: CodeArray, decisions: WordArray
) -> None:
    """Write the rules' bit sets of some genomes, conflicts settled, to (genomes, rules, words) `decisions`."""
    memory = open_decisions(steps, rules, len(rows))
    for first_word in range(0, decisions.shape[2], DECIDED_WORDS):
        last_word = min(first_word + DECIDED_WORDS, decisions.shape[2])
        run_rules(values, bars, steps, rules, rows, memory, first_word, last_word)
        settle_decisions(memory.decisions)
        decisions[:, :, first_word:last_word] = memory.decisions[:, :, : last_word - first_word]
