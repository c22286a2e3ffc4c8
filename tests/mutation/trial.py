"""Run a target's tests on one mutant, in a process of its own that starts with everything already imported."""

from __future__ import annotations

import compileall
import gc
import importlib
import os
import resource
import signal
import sys
import tempfile
import time
from enum import StrEnum
from pathlib import Path

import hypothesis
import numba
import pytest
from hypothesis import Phase

from tests.mutation.interpreted import KERNEL, import_the_rest, interpret
from tests.mutation.targets import TOO_SLOW, Target

IMPORTED_ONCE = ("numba", "polars", "scipy.stats", "alpharay.indicators", "alpharay.strategies.catalogue")
"""What no mutant changes: the library below the kernel, and what it stands on."""

WALL_FACTOR = 60
"""A busy machine may give a trial this small a share of a core before it counts as stuck."""


class Verdict(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMEOUT = "timeout"
    SURVIVED = "survived"


def prepare(target: Target) -> None:
    """Import what every trial of a target shares."""
    for name in IMPORTED_ONCE:
        importlib.import_module(name)
    if _is_interpreted(target):
        import_the_rest(target.module)
    # Numba gets ready at its first compilation, Python compiles and the collector looks at what stays: once is enough.
    numba.njit(lambda: 0)()
    for folder in ("alpharay", *{str(Path(test).parent) for test in target.tests}):
        compileall.compile_dir(folder, quiet=2)
    gc.freeze()


def try_mutant(target: Target, source: bytes, cpu_seconds: int, examples: int) -> tuple[Verdict, float]:
    """Write `source` as the target's module, run its tests, put the module back; return verdict and CPU seconds."""
    path = Path(target.path)
    whole, times = path.read_bytes(), path.stat()
    path.write_bytes(source)
    try:
        return _run(target, cpu_seconds, examples)
    finally:
        path.write_bytes(whole)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _run(target: Target, cpu_seconds: int, examples: int) -> tuple[Verdict, float]:
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 99
        try:
            status = _tests(target, cpu_seconds, examples)
        finally:
            os._exit(status)
    deadline = time.monotonic() + WALL_FACTOR * cpu_seconds
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.02)
    seconds = usage.ru_utime + usage.ru_stime
    if os.WIFSIGNALED(status):
        stuck = os.WTERMSIG(status) in {signal.SIGXCPU, signal.SIGPROF, signal.SIGKILL}
        return Verdict.TIMEOUT if stuck else Verdict.KILLED, seconds
    return Verdict.SURVIVED if os.WEXITSTATUS(status) == 0 else Verdict.KILLED, seconds


def _tests(target: Target, cpu_seconds: int, examples: int) -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = cpu_seconds + int(used.ru_utime + used.ru_stime) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    sys.dont_write_bytecode = True
    with Path(os.environ.get("MUTATION_LOG", os.devnull)).open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    if target.compiled:
        # Numba knows a function by the time of its file, and a mutant's is as good as the next one's.
        numba.config.CACHE_DIR = tempfile.mkdtemp(dir=Path.cwd())
    elif _is_interpreted(target):
        interpret(target.module)
    quick = f"not ({' or '.join(TOO_SLOW)})"
    unused = [
        word for name in ("cacheprovider", "unraisableexception", "hypothesispytest") for word in ("-p", f"no:{name}")
    ]
    plain = ["--assert=plain", "--tb=native", *unused, "--timeout=0"]
    options = ["-x", "-q", *plain, "-k", quick]
    return int(pytest.main([*options, *target.tests], plugins=[_FewExamples(examples), _OneTest(cpu_seconds / 3.0)]))


def _is_interpreted(target: Target) -> bool:
    return target.module.startswith(KERNEL) and not target.compiled


class _FewExamples:
    """Hypothesis tries few examples, the same for every mutant, and does not make a failing one smaller."""

    def __init__(self, count: int) -> None:
        self.settings = hypothesis.settings(
            max_examples=count,
            derandomize=True,
            database=None,
            deadline=None,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(hypothesis.HealthCheck),
        )

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            test = getattr(item, "obj", None)
            if hasattr(test, "hypothesis"):
                test._hypothesis_internal_use_settings = self.settings


class _OneTest:
    """A test may take so many CPU seconds; the process dies of it."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def pytest_runtest_setup(self) -> None:
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, self.seconds)
