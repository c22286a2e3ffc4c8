"""Probability of backtest overfitting: how often what is best in sample is below the median out of sample."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import qmc, rankdata

from alpharay.discovery.search_space import SearchSpace, repair
from alpharay.market.candles import FloatArray

BLOCKS = 16
CHUNK = 1024
"""Splits that are worked on at a time, to bound the memory."""


@dataclass(frozen=True, slots=True)
class Overfitting:
    """The splits of combinatorially symmetric cross-validation, one entry a split."""

    probability: float
    """Share of splits whose best trial in sample is at or below the median out of sample."""
    logits: FloatArray
    """ln(w / (1 - w)) of the best trial's relative rank w out of sample; above zero is above the median."""
    in_sample: FloatArray
    """Daily Sharpe ratio of the best trial in sample."""
    out_of_sample: FloatArray
    """The same trial's out of sample."""
    trials: int
    blocks: int

    @property
    def probability_of_loss(self) -> float:
        """Share of splits whose best trial in sample loses out of sample."""
        return float(np.mean(self.out_of_sample < 0.0))

    @property
    def degradation(self) -> float:
        """Slope of the out-of-sample Sharpe ratio on the in-sample one over the splits; below zero: chosen noise."""
        centred = self.in_sample - self.in_sample.mean()
        spread = float(centred @ centred)
        return float(centred @ self.out_of_sample / spread) if spread > 0.0 else 0.0


def overfitting(returns: FloatArray, blocks: int = BLOCKS) -> Overfitting:
    """Return the probability of backtest overfitting of trials, (trials, days), by CSCV.

    The days are cut into `blocks` runs; every choice of half of them is once in sample, the rest out of sample; the
    statistic is the daily Sharpe ratio (Bailey, Borwein, López de Prado & Zhu 2017, "The probability of backtest
    overfitting"). Blocks differ by at most a day. Equal trials share their mean rank.

    Raises ValueError for an odd or too small number of blocks, fewer than two trials, or fewer than two days a block.
    """
    trials, days = returns.shape
    if blocks < 2 or blocks % 2:
        raise ValueError(f"blocks must be an even number from 2 on, was {blocks}")
    if trials < 2:
        raise ValueError(f"overfitting needs at least 2 trials to choose from, was {trials}")
    if days < 2 * blocks:
        raise ValueError(f"overfitting needs at least {2 * blocks} days for {blocks} blocks, was {days}")
    edges = np.linspace(0, days, blocks + 1).round().astype(np.int64)
    counts = np.diff(edges).astype(np.float64)
    sums = np.add.reduceat(returns, edges[:-1], axis=1).T
    squares = np.add.reduceat(returns * returns, edges[:-1], axis=1).T
    chosen = np.array(list(combinations(range(blocks), blocks // 2)))
    inside = np.zeros((len(chosen), blocks))
    np.put_along_axis(inside, chosen, 1.0, axis=1)

    parts = [_split_results(inside[at : at + CHUNK], counts, sums, squares) for at in range(0, len(inside), CHUNK)]
    ranks, best_inside, best_outside = (np.concatenate(column) for column in zip(*parts, strict=True))
    relative = ranks / (trials + 1.0)
    logits = np.log(relative / (1.0 - relative))
    return Overfitting(float(np.mean(logits <= 0.0)), logits, best_inside, best_outside, trials, blocks)


def _split_results(
    inside: FloatArray, counts: FloatArray, sums: FloatArray, squares: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return, for each split, the best trial's rank out of sample and its Sharpe ratio on both sides."""
    sharpe_inside = _sharpe(inside, counts, sums, squares)
    sharpe_outside = _sharpe(1.0 - inside, counts, sums, squares)
    best = np.argmax(sharpe_inside, axis=1)
    rows = np.arange(len(best))
    ranks = rankdata(sharpe_outside, method="average", axis=1)[rows, best]
    return ranks, sharpe_inside[rows, best], sharpe_outside[rows, best]


def _sharpe(chosen: FloatArray, counts: FloatArray, sums: FloatArray, squares: FloatArray) -> FloatArray:
    days = (chosen @ counts)[:, None]
    mean = chosen @ sums / days
    variance = np.maximum(chosen @ squares - days * mean * mean, 0.0) / (days - 1.0)
    # A sum of squares loses about half its digits: below that a trial did not vary.
    varies = variance > 1e-18
    return np.where(varies, mean / np.sqrt(np.where(varies, variance, 1.0)), 0.0)


def space_filling_sample(space: SearchSpace, rows: int, seed: int) -> FloatArray:
    """Return up to `rows` distinct valid genomes that fill the space evenly (scrambled Sobol points, repaired).

    Never the population that a search converged to: its members are copies of one trial, and rank it by luck.
    """
    if not space.genes:
        return np.empty((1, 0))
    points = qmc.Sobol(len(space.genes), seed=seed).random_base2(max(rows - 1, 1).bit_length())[:rows]
    half = np.array([gene.step / 2.0 for gene in space.genes])
    genomes = repair(space, space.low - half + points * (space.high - space.low + 2.0 * half))
    return np.unique(genomes, axis=0)
