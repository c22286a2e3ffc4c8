"""What a process tree uses: real processes, judged by their own counters and not by the clock."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from alpharay.autoscaling.process_usage import ProcessTreeMeter

BURN = "import time\nwhile time.process_time() < {seconds}: pass\n"
HOLD = "block = bytearray({size})\nblock[::4096] = b'x' * len(block[::4096])\nprint('held', flush=True)\ninput()\n"


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(size=50 * 2**20)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    yield child
    child.communicate("\n")


def burn(seconds: float) -> None:
    subprocess.run([sys.executable, "-c", BURN.format(seconds=seconds)], check=True)


def test_a_child_that_has_worked_and_ended_is_counted(clock: Clock) -> None:
    meter = ProcessTreeMeter(clock=clock)
    burn(0.5)
    clock.now += 10.0
    usage = meter.measure()
    # The kernel counts in hundredths of a second, for user and system apart.
    assert usage.cpu_cores >= 0.045
    assert usage.window_s == 10.0


def test_the_average_is_over_the_window_and_not_since_the_start(clock: Clock) -> None:
    meter = ProcessTreeMeter(window_s=15.0, clock=clock)
    burn(0.5)
    windows = []
    for _ in range(8):
        clock.now += 5.0
        usage = meter.measure()
        windows.append(usage.window_s)
    assert windows == [5.0, 10.0, 15.0, 15.0, 15.0, 15.0, 15.0, 15.0]
    # The child's half second lies before the window now; what is left is the measuring itself.
    assert usage.cpu_cores < 0.5 / 15.0


def test_two_measurements_at_one_time_use_nothing(clock: Clock) -> None:
    meter = ProcessTreeMeter(clock=clock)
    assert meter.measure().cpu_cores == 0.0


def test_memory_is_that_of_the_whole_tree(holder: subprocess.Popen[str]) -> None:
    usage = ProcessTreeMeter().measure()
    alone = psutil.Process().memory_full_info().uss
    assert usage.memory_bytes > alone + 40 * 2**20
    assert ProcessTreeMeter(holder.pid).measure().memory_bytes > 50 * 2**20


def test_a_process_that_is_gone_cannot_be_measured() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True)
    meter = ProcessTreeMeter(child.pid)
    child.communicate("\n")
    with pytest.raises(psutil.NoSuchProcess):
        meter.measure()
