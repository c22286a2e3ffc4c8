"""The file that tells every command where the stack's services are, and the variables that replace them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from alpharay.settings import ENDPOINTS_FILE

# A service named by one of these is used as it is: neither started nor stopped.
VARIABLES = {
    "postgres": "ALPHARAY_DATABASE_URL",
    "kafka": "ALPHARAY_KAFKA_BOOTSTRAP_SERVERS",
    "valkey": "ALPHARAY_REDIS_URL",
    "exchange": "ALPHARAY_EXCHANGE_URL",
    "ray": "ALPHARAY_RAY_ADDRESS",
    "serve": "ALPHARAY_SERVE_URL",
}
DASHBOARD_VARIABLE = "ALPHARAY_RAY_DASHBOARD_URL"
GENERIC_VARIABLES = ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "REDIS_URL", "RAY_ADDRESS")
_HEADER = "# Written by `alpharay stack up`; `set -a; . FILE` gives a shell the same services.\n"


def ignored_variables() -> list[str]:
    """Return the generic variables of the environment, which may mean another project's services."""
    return [name for name in GENERIC_VARIABLES if os.environ.get(name)]


def write_endpoints(state: Path, values: Mapping[str, str]) -> None:
    """Replace the stack's endpoints file at once; only its owner may read it."""
    draft = state / f"{ENDPOINTS_FILE}.draft"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(_HEADER)
        file.writelines(f"{name}='{value}'\n" for name, value in values.items())
    draft.replace(state / ENDPOINTS_FILE)


def remove_endpoints(state: Path) -> None:
    """Remove the file: no command finds the stack from now on."""
    (state / ENDPOINTS_FILE).unlink(missing_ok=True)
