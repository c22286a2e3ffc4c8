"""Serve applications on the running stack: deployed from their configuration, beside those that are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import yaml
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from cluster.local.process import PartFailedError
from cluster.local.ray_token import authorization
from cluster.local.service import Report, quiet

DEPLOY_SECONDS = 240.0
_APPLICATIONS = "/api/serve/applications/"


def deploy(
    dashboard_url: str, configuration: Path, report: Report = quiet, *, token_file: Path | None = None
) -> dict[str, str]:
    """Deploy the applications of a Serve configuration file; return each one's path below Serve's once all run.

    `token_file` is that of the Ray cluster, where it asks for one. Other applications stay as they are. Raises
    PartFailedError with Serve's own words when one fails.
    """
    wanted = yaml.safe_load(configuration.read_text())["applications"]
    names = {application["name"] for application in wanted}
    try:
        with httpx.Client(
            base_url=dashboard_url, headers=authorization(token_file), trust_env=False, timeout=60.0
        ) as client:
            running = _details(client)
            others = [item["deployed_app_config"] for name, item in running.items() if name not in names]
            client.put(_APPLICATIONS, json={"applications": [*filter(None, others), *wanted]}).raise_for_status()
            _wait_until_running(client, names, report)
    except httpx.HTTPError as error:
        raise PartFailedError(f"Serve did not take {configuration.name}: {error}") from error
    return {application["name"]: application["route_prefix"] for application in wanted}


def _details(client: httpx.Client) -> dict[str, dict[str, Any]]:
    answer = client.get(_APPLICATIONS)
    answer.raise_for_status()
    applications: dict[str, dict[str, Any]] = answer.json()["applications"]
    return applications


def _wait_until_running(client: httpx.Client, names: set[str], report: Report) -> None:
    def look() -> bool:
        found = _details(client)
        states = {name: found.get(name, {}).get("status", "NOT_STARTED") for name in sorted(names)}
        report(", ".join(f"{name} {state.lower()}" for name, state in states.items()))
        for name, state in states.items():
            if state == "DEPLOY_FAILED":
                raise PartFailedError(f"application {name} could not be deployed: {found[name]['message']}")
        return all(state == "RUNNING" for state in states.values())

    try:
        Retrying(
            retry=retry_if_result(lambda done: not done), stop=stop_after_delay(DEPLOY_SECONDS), wait=wait_fixed(0.3)
        )(look)
    except RetryError:
        late = ", ".join(sorted(names))
        raise PartFailedError(
            f"{late} did not run within {DEPLOY_SECONDS:.0f} s: see the Serve page of {client.base_url}"
        ) from None
