"""What Ray is told by the environment: the cluster's token, or in so many words that there is none."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from alpharay.settings import Settings, prepare_for_ray, ray_authentication
from cluster.local.ray_token import authorization, claim_token, known_token

NAMES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        # Set before it is deleted, so that it is as it was after the test, whatever that has made of it.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def told() -> dict[str, str]:
    return {name: os.environ[name] for name in NAMES if name in os.environ}


def test_a_token_is_the_clusters_own_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    prepare_for_ray(Settings(ray_address="10.0.0.1:6379", ray_token_file=tmp_path / "token"))
    assert told() == {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}


def test_without_a_token_a_cluster_on_this_machine_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_for_ray(Settings(ray_address="127.0.0.1:6379"))
    assert told()["RAY_AUTH_MODE"] == "disabled"
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    prepare_for_ray(Settings(ray_address="127.0.0.1:6379"))
    assert told()["RAY_AUTH_MODE"] == "token"


def test_the_local_stack_asks_for_a_token_unless_it_is_told_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().ray_authentication == "token"
    monkeypatch.setenv("ALPHARAY_RAY_AUTHENTICATION", "off")
    assert Settings().ray_authentication == "off"


def test_of_a_cluster_elsewhere_nothing_is_assumed() -> None:
    prepare_for_ray(Settings(ray_address="10.0.0.1:6379"))
    assert told() == {}


def test_a_token_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    folder = tmp_path / "ray"
    assert known_token(folder) is None
    file = claim_token(folder)
    made = file.read_text()
    assert (claim_token(folder), file.read_text(), known_token(folder)) == (file, made, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert authorization(file) == {"Authorization": f"Bearer {made}"}
    assert authorization(None) == {}
    assert ray_authentication(file)["RAY_AUTH_TOKEN_PATH"] == str(file)
