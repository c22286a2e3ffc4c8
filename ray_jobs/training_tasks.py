"""Ray tasks that train signal models: a market a task, as many at a time as there are processors for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import ray

from alpharay.node_groups import on_groups
from alpharay.settings import Settings
from ray_jobs.backtest_worker import LAPTOP_NICENESS, WORKER_ENVIRONMENT, join_ray, suitable_workers
from ray_jobs.market_training import TrainingAsked, TrainingDone, train

TASK_TIMEOUT_S = 3_600.0
"""When no model is done for so long, the training is given up; what was done before is stored."""

RETRIES = 2
"""A task whose worker dies is begun again so often."""


@ray.remote(num_cpus=1, max_retries=RETRIES)
def _train(asked: TrainingAsked, niceness: int) -> TrainingDone:
    # Serving comes first. Not `os.nice`, which a second task of this process would add to.
    os.setpriority(os.PRIO_PROCESS, 0, niceness)
    return train(asked)


class RayTrainer:
    """Trains on a joined Ray cluster, `workers` models at a time; None is what suits."""

    def __init__(self, workers: int | None, settings: Settings) -> None:
        alone = join_ray(settings)
        self._workers = suitable_workers(workers, alone=alone)
        self._niceness = LAPTOP_NICENESS if alone else 0
        self._where = on_groups(settings.training_groups)

    def __call__(self, asked: Iterable[TrainingAsked]) -> Iterator[TrainingDone]:
        """Train each and yield it when it is done; when the caller leaves, the others are cancelled."""
        waiting = iter(asked)
        running: dict[Any, TrainingAsked] = {}
        task: Any = _train
        task = task.options(runtime_env={"env_vars": WORKER_ENVIRONMENT}, **self._where)
        try:
            while True:
                while len(running) < self._workers and (one := next(waiting, None)) is not None:
                    running[task.remote(one, self._niceness)] = one
                if not running:
                    return
                done, _ = ray.wait(list(running), num_returns=1, timeout=TASK_TIMEOUT_S)
                if not done:
                    raise TimeoutError(
                        f"none of {len(running)} models was done in {TASK_TIMEOUT_S:.0f} s: see the tasks in Ray's "
                        "dashboard, or train with fewer --candles"
                    )
                yield _result(done[0], running.pop(done[0]))
        finally:
            for one in running:
                ray.cancel(one, force=True)


def _result(task: Any, asked: TrainingAsked) -> TrainingDone:
    """Return what a task has returned; one that killed each worker it met leaves its market out, and no other."""
    try:
        done: TrainingDone = ray.get(task)
    except ray.exceptions.RayTaskError:
        # A mistake of ours, which keeps its traceback.
        raise
    except ray.exceptions.RayError as error:
        reason = str(error).partition("\n")[0][:200]
        return TrainingDone(asked, None, f"its worker ended {RETRIES + 1} times: {reason}", 0.0)
    return done
