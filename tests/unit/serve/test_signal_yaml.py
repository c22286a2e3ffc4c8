"""The Serve configuration file and the code say the same."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import yaml
from ray.serve.schema import ServeDeploySchema

FILE = Path(__file__).resolve().parents[3] / "serve_apps" / "signal.yaml"


def test_the_file_is_a_serve_configuration_of_an_application_that_can_be_imported() -> None:
    config = ServeDeploySchema.model_validate(yaml.safe_load(FILE.read_text()))
    module, _, name = config.applications[0].import_path.partition(":")
    assert hasattr(import_module(module), name)
    assert config.http_options.host == "127.0.0.1"


def test_what_the_file_sets_is_what_the_code_sets() -> None:
    from serve_apps.signal import SignalServer

    written = yaml.safe_load(FILE.read_text())["applications"][0]["deployments"][0]
    config = SignalServer._deployment_config.model_dump()
    assert written.pop("name") == SignalServer.name
    assert written.pop("ray_actor_options").items() <= SignalServer.ray_actor_options.items()
    for option, value in written.items():
        if isinstance(value, dict):
            assert value.items() <= config[option].items(), option
        else:
            assert config[option] == value, option


def test_the_application_has_no_access_log_beside_its_own_line() -> None:
    assert yaml.safe_load(FILE.read_text())["applications"][0]["logging_config"]["enable_access_log"] is False
