"""kubectl: what renders, applies and compares manifests, and what runs a program in a pod."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from cluster.deploy.errors import DeployError
from cluster.local.process import child_environment

SECONDS = 120.0


@dataclass(frozen=True)
class Kubectl:
    """Runs kubectl against one context; None is the current one."""

    context: str | None = None
    program: str = "kubectl"

    def __call__(
        self, *words: str, text: str | None = None, timeout_s: float = SECONDS, accept: tuple[int, ...] = (0,)
    ) -> str:
        """Return what kubectl prints, with `text` as its input; raises DeployError with kubectl's own words."""
        where = () if self.context is None else (f"--context={self.context}",)
        command = [self.program, *where, *words]
        try:
            answer = subprocess.run(  # noqa: S603 - a list of our own making
                command,
                input=text,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout_s,
                env=child_environment(),
            )
        except FileNotFoundError:
            raise DeployError(
                f"{self.program} is not installed; this tool needs it to render and apply manifests"
            ) from None
        except subprocess.TimeoutExpired:
            raise DeployError(
                f"kubectl {words[0]} had no answer after {timeout_s:.0f} s", next_steps=("kubectl cluster-info",)
            ) from None
        if answer.returncode not in accept:
            raise DeployError(
                f"kubectl {' '.join(words[:2])} failed", evidence=tuple(answer.stderr.strip().splitlines())
            )
        return answer.stdout
