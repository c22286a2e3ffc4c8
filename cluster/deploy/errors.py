"""What a deployment says when it cannot go on: what failed, what was seen, what to look at next."""

from __future__ import annotations


class DeployError(RuntimeError):
    """Something was refused or did not come in time.

    `evidence` is what was seen (events, log lines), `next_steps` are commands to go on with.
    """

    def __init__(self, text: str, *, evidence: tuple[str, ...] = (), next_steps: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.evidence = evidence
        self.next_steps = next_steps
