"""`alpharay validate`: the job `ray_jobs.validate`, with the same options."""

from __future__ import annotations

from ray_jobs.validate import main as validate

HELP = """Find out which discovered strategies may be trusted: every gate's outcome, in plain words, stored as evidence.

Without an id it takes all that wait, most promising first. Ctrl-C keeps what has ended.

Example: alpharay validate --symbol SPX --limit 5
"""

__all__ = ["HELP", "validate"]
