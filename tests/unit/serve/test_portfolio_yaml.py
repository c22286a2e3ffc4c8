"""The Serve configuration of the portfolio service and the code say the same; the autoscaling is the manifest's."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import yaml
from ray.serve.schema import ServeDeploySchema

from serve_apps.portfolio import PortfolioServer, app, portfolio_autoscaler

FILE = Path(__file__).resolve().parents[3] / "serve_apps" / "portfolio.yaml"


def test_the_file_is_a_serve_configuration_of_an_application_that_can_be_built() -> None:
    config = ServeDeploySchema.model_validate(yaml.safe_load(FILE.read_text())).applications[0]
    module, _, name = config.import_path.partition(":")
    assert getattr(import_module(module), name) is app
    assert config.route_prefix == "/portfolio"
    scaling = app(config.args)._bound_deployment._deployment_config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas) == (1, 6)


def test_what_the_file_sets_is_what_the_code_sets() -> None:
    written = yaml.safe_load(FILE.read_text())["applications"][0]["deployments"][0]
    config = PortfolioServer._deployment_config.model_dump()
    assert written.pop("name") == PortfolioServer.name
    assert written.pop("ray_actor_options").items() <= PortfolioServer.ray_actor_options.items()
    for option, value in written.items():
        assert value.items() <= config[option].items() if isinstance(value, dict) else config[option] == value, option


def test_without_arguments_the_manifests_two_to_six_replicas_are_taken() -> None:
    scaling = app({})._bound_deployment._deployment_config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas) == (2, 6)
    spec = portfolio_autoscaler()["spec"]
    assert isinstance(spec, dict)
    assert spec["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 75}
