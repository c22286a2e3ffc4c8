"""Objects put to the API server: applied by the server, tried by it, compared with what it holds."""

from __future__ import annotations

from collections.abc import Iterable

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from cluster.deploy.errors import DeployError
from cluster.deploy.manifests import Manifest, Run, as_list

# Autoscalers and `scale` own the replicas they have set: an apply takes them back, as the manifests say.
# Of what kubectl says of a server that is away, not of a manifest that is refused.
_PASSING = (
    "connection refused",
    "request canceled",
    "TLS handshake timeout",
    "i/o timeout",
    "etcdserver:",
    "the server is currently unable",
)
SECONDS = 300.0
_SERVER_SIDE = ("--server-side", "--force-conflicts")


def apply(kubectl: Run, manifests: Iterable[Manifest]) -> list[str]:
    """Bring the objects to what the manifests say; returns a line for each. Raises DeployError when one is refused."""
    wanted = list(manifests)
    if not wanted:
        return []
    return _patiently(kubectl, "apply", *_SERVER_SIDE, "-f", "-", text=as_list(wanted)).splitlines()


def dry_run(kubectl: Run, manifests: Iterable[Manifest]) -> list[str]:
    """Let the API server check everything and keep nothing; raises DeployError with all that it refuses."""
    tried = [_under_another_name(one) if one["kind"] == "Job" else one for one in manifests]
    return _patiently(kubectl, "apply", *_SERVER_SIDE, "--dry-run=server", "-f", "-", text=as_list(tried)).splitlines()


def differences(kubectl: Run, manifests: Iterable[Manifest]) -> str:
    """Return what applying would change, as a unified diff; empty when nothing. Jobs are made anew and left out."""
    compared = [one for one in manifests if one["kind"] != "Job"]
    # 1 says that there are differences.
    return _patiently(kubectl, "diff", *_SERVER_SIDE, "-f", "-", text=as_list(compared), accept=(0, 1))


def delete(kubectl: Run, manifests: Iterable[Manifest], *, timeout_s: float) -> list[str]:
    """Delete the objects and wait until they are gone; those that are gone already are no error."""
    wanted = list(manifests)
    if not wanted:
        return []
    words = ("--ignore-not-found", f"--timeout={timeout_s:.0f}s", "-f", "-")
    return kubectl("delete", *words, text=as_list(wanted), timeout_s=timeout_s + 30.0).splitlines()


def _patiently(kubectl: Run, *words: str, text: str, accept: tuple[int, ...] = (0,)) -> str:
    """Run kubectl again while the API server is away: what is applied twice is applied once."""
    said: str = Retrying(
        retry=retry_if_exception(_passes),
        stop=stop_after_attempt(3),
        wait=wait_exponential(multiplier=1.0, max=8.0),
        reraise=True,
    )(kubectl, *words, text=text, accept=accept, timeout_s=SECONDS)
    return said


def _passes(error: BaseException) -> bool:
    said = "\n".join(error.evidence) if isinstance(error, DeployError) else ""
    return any(words in said for words in _PASSING)


def _under_another_name(job: Manifest) -> Manifest:
    """Return the Job as a new one: a Job that exists cannot be changed, so its own name would tell nothing."""
    return {**job, "metadata": {**job["metadata"], "name": f"{job['metadata']['name']}-dry-run"}}
