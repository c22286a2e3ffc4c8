from __future__ import annotations

import stat
import subprocess

import pytest

from alpharay.settings import ENDPOINTS_FILE, Settings
from cluster.local import stack
from cluster.local.endpoints import VARIABLES, ignored_variables, remove_endpoints, write_endpoints
from cluster.local.service import Service

URL = "postgresql://alpharay:se-cret_1@127.0.0.1:5555/alpharay"


@pytest.fixture(autouse=True)
def no_named_services(monkeypatch):
    for name in VARIABLES.values():
        monkeypatch.delenv(name, raising=False)


def test_endpoints_file_is_read_by_settings_and_by_a_shell(tmp_path):
    write_endpoints(tmp_path, {"ALPHARAY_DATABASE_URL": URL, "RAY_AUTH_MODE": "disabled"})
    file = tmp_path / ENDPOINTS_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Settings(_env_file=file).require("database_url") == URL
    shell = subprocess.run(
        ["sh", "-c", f". '{file}'; printf %s \"$ALPHARAY_DATABASE_URL\""], capture_output=True, text=True
    )
    assert shell.stdout == URL


def test_remove_endpoints_twice_is_no_error(tmp_path):
    write_endpoints(tmp_path, {})
    remove_endpoints(tmp_path)
    remove_endpoints(tmp_path)
    assert not (tmp_path / ENDPOINTS_FILE).exists()


def test_generic_variable_is_ignored_by_name(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://another-project")
    assert "DATABASE_URL" in ignored_variables()


def test_service_named_by_the_environment_is_external(tmp_path, monkeypatch):
    monkeypatch.setenv("ALPHARAY_DATABASE_URL", URL)
    assert stack.external_parts(tmp_path) == {"postgres": "ALPHARAY_DATABASE_URL"}


def test_external_ray_brings_no_serve_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("ALPHARAY_RAY_ADDRESS", "10.0.0.1:6379")
    assert set(stack.external_parts(tmp_path)) == {"ray", "serve"}


def test_own_address_in_the_environment_of_a_job_is_not_external(tmp_path, monkeypatch):
    own = Service(name="postgres", version="18", address="", url=URL, pid=1, log=tmp_path)
    monkeypatch.setattr(stack, "probe", lambda *_: own)
    monkeypatch.setenv("ALPHARAY_DATABASE_URL", URL)
    assert stack.external_parts(tmp_path) == {}


def test_service_does_not_show_its_password():
    service = Service(name="postgres", version="18", address="127.0.0.1", url=URL, pid=1, log=None)
    assert "se-cret_1" not in repr(service)
