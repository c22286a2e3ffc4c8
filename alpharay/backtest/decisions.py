"""What every parameter set of a strategy decides on one data set: settled bit sets, a row a rule."""

from __future__ import annotations

import numpy as np
from numba import njit

from alpharay.backtest.batches import Chunk, compared_chunks
from alpharay.backtest.bits import WordArray
from alpharay.backtest.market import Market
from alpharay.backtest.rules import CodeArray, RuleProgram, run_rule, settle_conflicts
from alpharay.market.candles import FloatArray
from alpharay.strategies.strategy import Strategy


def write_decisions(
    strategy: Strategy, program: RuleProgram, genomes: FloatArray, market: Market, decisions: WordArray
) -> None:
    """Write the rules' bit sets, conflicts settled, to (genomes, rules, words) `decisions`."""
    for chunk in compared_chunks(strategy, program, genomes, market):
        write_chunk(program, chunk, decisions[chunk.genomes])


def write_chunk(program: RuleProgram, chunk: Chunk, decisions: WordArray) -> None:
    """Write the bit sets of one chunk's rules, conflicts settled."""
    for rule, code in enumerate(program.codes):
        _run_rules(code, program.literals, program.depth, chunk.bits, chunk.rows, decisions[:, rule])
    _settle(decisions)


@njit(cache=True, nogil=True)
def _run_rules(
    code: CodeArray, literals: CodeArray, depth: int, bits: WordArray, rows_of: CodeArray, decisions: WordArray
) -> None:
    stack = np.empty((depth, bits.shape[1]), dtype=np.uint64)
    for genome in range(len(rows_of)):
        run_rule(code, literals, bits, rows_of[genome], stack)
        decisions[genome] = stack[0]


@njit(cache=True, nogil=True)
def _settle(decisions: WordArray) -> None:
    for genome in range(len(decisions)):
        rules = decisions[genome]
        if len(rules) > 2:
            settle_conflicts(rules[0], rules[1], rules[2], rules[3])
        else:
            settle_conflicts(rules[0], rules[1], None, None)
