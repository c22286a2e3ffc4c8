"""The job that validates: a Ctrl-C that compiled code dropped."""

from __future__ import annotations

import signal
from contextlib import suppress

import pytest
from rich.console import Console

from ray_jobs.interruption import interruptions
from ray_jobs.strategy_validation import InterruptedValidation
from ray_jobs.validate import _Progress


def test_an_interruption_that_was_dropped_ends_the_validation_at_its_next_step() -> None:
    with interruptions(InterruptedValidation) as interrupted:
        progress = _Progress(Console(quiet=True), interrupted)
        progress("permutation", 1, 400)
        with suppress(InterruptedValidation):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(InterruptedValidation):
            progress("permutation", 2, 400)
