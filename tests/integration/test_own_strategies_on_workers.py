"""A user's file on real Ray workers: its strategies and its own indicators are searched as here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY

from alpharay.discovery.search import SearchSettings, discover
from alpharay.market.sample import sample_candles
from alpharay.strategies.loading import strategies_in_file

DISCOVER = """
import sys
import ray
from pathlib import Path
from alpharay.discovery.search import SearchSettings, discover
from alpharay.market.sample import sample_candles
from alpharay.strategies.loading import strategies_in_file
from ray_jobs.backtest_worker import RayExecutor

(strategy,) = strategies_in_file(sys.argv[1])
Path(sys.argv[1]).unlink()
ray.init(address=sys.argv[2], log_to_driver=False)
with RayExecutor(1) as executor:
    report = discover(strategy, sample_candles()[0], SearchSettings(population=20, generations=2, seed=3),
                      executor=executor)
print([champion.score for champion in report.champions])
"""
RULES = """
import numpy as np
from alpharay.indicators.registry import indicator
from alpharay.strategies.expression import P
from alpharay.strategies.expression import close, ta
from alpharay.strategies.strategy import Integer, Strategy

@indicator(inputs=("close",), warm_up=lambda length: length)
def momentum_on_workers(close: np.ndarray, length: int) -> np.ndarray:
    before = np.full(len(close), np.nan)
    before[length:] = close[:-length]
    return close / before - 1.0

MOMENTUM = Strategy(
    "MOMENTUM", "", (Integer("length", 10, 300, default=250),),
    ta.momentum_on_workers(P.length) > 0.0, ta.momentum_on_workers(P.length) < 0.0,
)
"""


@pytest.mark.slow
def test_an_indicator_of_a_file_travels_to_workers_that_do_not_have_the_file(ray_cluster: str, tmp_path: Path) -> None:
    here, there = tmp_path / "here.py", tmp_path / "there.py"
    for path in (here, there):
        path.write_text(RULES)
    (strategy,) = strategies_in_file(here)
    expected = discover(strategy, sample_candles()[0], SearchSettings(population=20, generations=2, seed=3))
    # In a process of its own, whose file is gone before the workers start.
    done = subprocess.run(
        [sys.executable, "-c", DISCOVER, str(there), ray_cluster],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = [float(text) for text in done.stdout.strip().splitlines()[-1].strip("[]").split(",")]
    assert len(found) >= 1
    np.testing.assert_array_equal(found, [champion.score for champion in expected.champions])
