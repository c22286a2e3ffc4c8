"""`alpharay discover`: the job `ray_jobs.discover`, with the same options."""

from __future__ import annotations

from ray_jobs.discover import app

__all__ = ["app"]
