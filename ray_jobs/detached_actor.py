"""Long-lived actors: named, detached from the job that starts them, restarted whenever their process dies."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import ray
import structlog
from ray.util.metrics import Gauge

from alpharay.node_groups import on_groups
from alpharay.settings import settings
from alpharay.telemetry.mirror import start_mirror
from alpharay.telemetry.registry import exposition

NAMESPACE = "alpharay"
ACTOR_CPUS = 0.1
CRASH_PAUSE_S = 2.0
STATUS_TIMEOUT_S = 10.0

log = structlog.get_logger(__name__)


def ensure_actor(actor_class: Any, name: str, *arguments: object) -> Any:
    """Return the handle of the detached actor `name`, started with `arguments` when there is none.

    Its state must be outside of it: after a crash Ray starts it again, anywhere, with the same arguments.
    """
    return actor_class.options(
        name=name,
        namespace=NAMESPACE,
        lifetime="detached",
        get_if_exists=True,
        max_restarts=-1,
        # Their methods only look or ask for an end, so a call that a crash has cut off may be repeated.
        max_task_retries=-1,
        num_cpus=ACTOR_CPUS,
        # Status calls must be answered at once, and an unread mailbox must not grow.
        max_concurrency=4,
        max_pending_calls=100,
        # Where none but them keeps a node, the autoscaler can give back those that only searched.
        **on_groups(settings().actor_groups),
    ).remote(*arguments)


def find_actor(name: str) -> Any | None:
    """Return the handle of the detached actor `name`, or None when there is none."""
    try:
        return ray.get_actor(name, namespace=NAMESPACE)
    except ValueError:
        return None


@cache
def show_metrics(process: str) -> None:
    """Show this process's metrics among those of its Ray node, as those of `process`."""
    start_mirror(exposition, Gauge, process)


def start_work(name: str, work: Callable[[], None]) -> threading.Thread:
    """Run an actor's endless work on a thread, so that its methods can answer meanwhile.

    The process's metrics are shown from here on. An error that the work does not handle itself ends the process, and
    Ray starts a fresh one: what went wrong in an unforeseen way is not trusted to go on.
    """

    def guarded() -> None:
        try:
            work()
        except BaseException:
            log.exception("actor.crashed", actor=name)
            # A cause that stays must not become a loop of restarts without pause.
            time.sleep(CRASH_PAUSE_S)
            os._exit(1)

    show_metrics(name)
    thread = threading.Thread(target=guarded, name=name, daemon=True)
    thread.start()
    return thread
