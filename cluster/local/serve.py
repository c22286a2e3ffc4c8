"""Ray Serve's HTTP proxy on the local Ray head; applications are deployed to it later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import httpx
from tenacity import (
    RetryError,
    Retrying,
    retry,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential,
    wait_fixed,
)

from cluster.local.port import LOOPBACK, claim_port, remembered_port
from cluster.local.process import PartFailedError
from cluster.local.ray_token import authorization
from cluster.local.service import Report, Service, quiet

NAME = "serve"
START_SECONDS = 120.0


def claim_address(folder: Path, *, ray: Service | None) -> str:
    """Return the address that Serve has on the running head `ray`, or will have on the next one."""
    folder.mkdir(parents=True, exist_ok=True)
    port = remembered_port(folder)
    return f"http://{LOOPBACK}:{claim_port(folder) if port is None or ray is None else port}"


def start(folder: Path, report: Report = quiet, *, ray: Service, token_file: Path | None = None) -> Service:
    """Start Serve on the head `ray`, or adopt it when it runs; return once its proxy answers.

    `token_file` is the head's.

    The port is Serve's from then on: a configuration deployed later does not move it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    serving = probe(folder, ray=ray)
    if serving is not None:
        return serving
    report("starting")
    wanted = {
        "proxy_location": "HeadOnly",
        "http_options": {"host": LOOPBACK, "port": remembered_port(folder) or claim_port(folder)},
        "applications": [],
    }
    try:
        _put(ray.address, wanted, authorization(token_file))
    except httpx.HTTPError as error:
        raise PartFailedError(
            f"Ray's dashboard {ray.address} could not start Serve ({error}): see its logs ({ray.note})"
        ) from error
    attempts = Retrying(
        retry=retry_if_result(lambda found: found is None),
        stop=stop_after_delay(START_SECONDS),
        wait=wait_fixed(0.1),
    )
    try:
        service = attempts(lambda: probe(folder, ray=ray))
    except RetryError:
        raise PartFailedError(
            f"Serve's proxy did not answer within {START_SECONDS:.0f} s: see its logs ({ray.note})"
        ) from None
    assert service is not None, "retried until it was found"
    return service


@retry(
    # A dashboard that is hardly up drops its first requests now and then.
    retry=retry_if_exception_type(httpx.HTTPError),
    stop=stop_after_attempt(4),
    wait=wait_exponential(multiplier=0.5, max=4),
    reraise=True,
)
def _put(dashboard: str, wanted: Mapping[str, object], headers: Mapping[str, str]) -> None:
    with httpx.Client(base_url=dashboard, headers=headers, trust_env=False, timeout=START_SECONDS) as client:
        client.put("/api/serve/applications/", json=dict(wanted)).raise_for_status()


def probe(folder: Path, *, ray: Service) -> Service | None:
    """Return Serve when its proxy answers, with or without an application; None otherwise."""
    port = remembered_port(folder)
    if port is None:
        return None
    address = f"http://{LOOPBACK}:{port}"
    try:
        with httpx.Client(base_url=address, trust_env=False, timeout=5.0) as client:
            answer = client.get("/-/healthz")
    except httpx.HTTPError:
        return None
    # 503 is a proxy that has no application yet.
    if answer.status_code not in (httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE):
        return None
    return Service(
        name=NAME,
        version=ray.version,
        address=address,
        url=address,
        pid=ray.pid,
        log=ray.log,
        note="inside Ray",
    )
