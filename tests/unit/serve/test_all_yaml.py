"""The Serve configuration of all applications says of each what its own file says."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

FOLDER = Path(__file__).resolve().parents[3] / "serve_apps"
OWN = ("signal", "risk", "portfolio")


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


def test_it_is_a_serve_configuration_whose_applications_can_be_imported() -> None:
    config = ServeDeploySchema.model_validate(read("all"))
    assert [one.route_prefix for one in config.applications] == ["/", "/risk", "/portfolio"]
    for one in config.applications:
        module, _, name = one.import_path.partition(":")
        assert hasattr(import_module(module), name)
    assert config.http_options.host == "127.0.0.1"


@pytest.mark.parametrize("name", OWN)
def test_each_application_is_as_in_its_own_file(name: str) -> None:
    (own,) = read(name)["applications"]
    assert own in read("all")["applications"]


def test_no_request_is_cut_sooner_than_its_own_file_allows() -> None:
    longest = max(read(name)["http_options"]["request_timeout_s"] for name in OWN)
    assert read("all")["http_options"]["request_timeout_s"] == longest
