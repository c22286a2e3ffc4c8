"""The examples run as they are and print what they promise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from alpharay.indicators.registry import INDICATORS
from alpharay.strategies.strategy import Strategy

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_example_runs(example):
    done = subprocess.run(
        [sys.executable, str(example)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(Path.home())},
    )
    assert done.returncode == 0, done.stderr
    assert "SPX/USD" in done.stdout


def test_the_readme_s_strategy_and_indicator_are_what_it_says():
    text = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    known = set(INDICATORS)
    found: dict[str, object] = {}
    try:
        for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
            exec(block, found)
        assert isinstance(found["PULLBACK"], Strategy)
        values = INDICATORS["change"](np.array([1.0, 2.0, 3.0]), 1)
        np.testing.assert_array_equal(values, [np.nan, 1.0, 0.5])
        for bars in (0, 1, 2):
            assert np.isnan(INDICATORS["change"](np.ones(bars), 2)).all()
    finally:
        for name in INDICATORS.keys() - known:
            del INDICATORS[name]
