"""`alpharay score`: the job `ray_jobs.score`, with the same options."""

from __future__ import annotations

from ray_jobs.score import main as score

HELP = """Decide which trusted strategies speak now: confidences, ensembles, deployments and retirements, with reasons.

It depends on stored data alone: the same data again changes nothing.

Example: alpharay score --symbol SPX --dry-run --json
"""

__all__ = ["HELP", "score"]
