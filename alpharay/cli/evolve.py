"""`alpharay evolve`: the job `ray_jobs.evolve`, with the same options."""

from __future__ import annotations

from ray_jobs.evolve import main as evolve

HELP = """Grow entry and exit rules out of indicators, by genetic programming, and store the best as candidates.

The permutation test of `alpharay validate` searches an evolved rule's constants again; it does not repeat the
evolution, and is too kind to it. Ctrl-C keeps what was found.

Example: alpharay evolve --symbol SPX --seed 1 --time-budget 60 --report evolved.html
"""

__all__ = ["HELP", "evolve"]
