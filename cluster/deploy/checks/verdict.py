"""What a line of the production checklist comes to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cluster.deploy.api import Api, Object
from cluster.deploy.errors import DeployError
from cluster.deploy.manifests import Run
from cluster.deploy.trouble import has_succeeded

SHOWN = 4


@dataclass(frozen=True)
class Verdict:
    """`pass`, `fail`, or `cannot tell`; what was seen, and what to do."""

    state: Literal["pass", "fail", "cannot tell"]
    seen: str
    to_do: str = ""


@dataclass(frozen=True)
class Live:
    """The cluster that is checked. `system` asks the serving head once: Ray's nodes and Serve's applications."""

    kubectl: Run
    api: Api
    pods: tuple[Object, ...]
    system: Callable[[], Any]

    @property
    def lasting_pods(self) -> list[Object]:
        """Pods that are there to stay: those of Jobs left out."""
        return [pod for pod in self.pods if "job-name" not in pod["metadata"].get("labels", {})]


def live_pods(api: Api) -> tuple[Object, ...]:
    """Return the pods that have not ended."""
    return tuple(pod for pod in api.items("v1", "Pod") if not has_succeeded(pod))


def passes(seen: str) -> Verdict:
    """Return that a line holds."""
    return Verdict("pass", seen)


def fails(seen: str, to_do: str) -> Verdict:
    """Return that a line does not hold, and what makes it."""
    return Verdict("fail", seen, to_do)


def cannot_tell(seen: str, to_do: str) -> Verdict:
    """Return that it cannot be seen from here, and how to find out."""
    return Verdict("cannot tell", seen, to_do)


def listed(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    known = list(dict.fromkeys(names))
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return ", ".join(known[:SHOWN]) + more


def guarded(check: Callable[[Live], Verdict], live: Live) -> Verdict:
    """Return a check's verdict; what the cluster refuses to say cannot be told."""
    try:
        return check(live)
    except DeployError as error:
        return cannot_tell(" ".join((str(error), *error.evidence[-1:]))[:200], "run it as someone who may read this")
