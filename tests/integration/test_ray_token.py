"""The local head asks for its token: the Jobs API, Serve's and every driver; only the owner can read it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import REPOSITORY

from cluster.local import ray_head, serve, stack
from cluster.local.ray_token import authorization, claim_token
from cluster.local.service import Service

pytestmark = pytest.mark.timeout(300)

DRIVER = """
import sys
from alpharay.settings import prepare_for_ray, settings
prepare_for_ray(settings())
import ray
ray.init(sys.argv[1], namespace="alpharay", log_to_driver=False)

@ray.remote(num_cpus=0.1)
def doubled(number):
    return 2 * number

print(ray.get(doubled.remote(21), timeout=60))
"""


@pytest.fixture(scope="module")
def head() -> Iterator[tuple[Service, Path]]:
    """Yield a head that asks for a token, and its file."""
    folder = Path(tempfile.mkdtemp(prefix="ar-token-", dir="/tmp"))
    token_file = claim_token(folder / "ray")
    try:
        yield ray_head.start(folder / "ray", settings={}, working_folder=folder, token_file=token_file), token_file
    finally:
        ray_head.stop(folder / "ray")
        ray_head.purge(folder / "ray")
        shutil.rmtree(folder, ignore_errors=True)


def drive(address: str, token_file: Path | None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "ALPHARAY_"))}
    environment["ALPHARAY_RAY_ADDRESS"] = address
    if token_file is not None:
        environment["ALPHARAY_RAY_TOKEN_FILE"] = str(token_file)
    return subprocess.run(
        [sys.executable, "-c", DRIVER, address],
        cwd=token_file.parent if token_file else "/tmp",
        env={**environment, "PYTHONPATH": str(REPOSITORY), "RAY_gcs_rpc_server_reconnect_timeout_s": "5"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_without_the_token_nobody_starts_work_and_with_it_all_clients_do(head: tuple[Service, Path]) -> None:
    service, token_file = head
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    job = {"entrypoint": "true"}
    applications = {"applications": []}
    for headers, status in (({}, 401), ({"Authorization": "Bearer wrong"}, 403)):
        with httpx.Client(base_url=service.address, headers=headers, trust_env=False, timeout=20.0) as stranger:
            assert stranger.get("/api/jobs/").status_code == status
            assert stranger.post("/api/jobs/", json=job).status_code == status
            assert stranger.put("/api/serve/applications/", json=applications).status_code == status
    with httpx.Client(
        base_url=service.address, headers=authorization(token_file), trust_env=False, timeout=20.0
    ) as owner:
        assert owner.get("/api/jobs/").status_code == 200
    known = drive(service.url, token_file)
    assert (known.returncode, known.stdout.strip()) == (0, "42"), known.stderr
    assert drive(service.url, None).returncode != 0
    assert token_file.read_text() not in service.note + service.address + known.stderr


def test_serve_is_started_by_who_has_the_token(head: tuple[Service, Path]) -> None:
    service, token_file = head
    folder = token_file.parents[1] / "serve"
    proxy = serve.start(folder, ray=service, token_file=token_file)
    assert httpx.get(f"{proxy.address}/-/healthz", trust_env=False).status_code in (200, 503)
    assert stack.probe(token_file.parents[1], "serve") is not None
