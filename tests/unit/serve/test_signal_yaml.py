"""The Serve configuration file and the code say the same."""

from __future__ import annotations

import gzip
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from ray.serve.schema import ServeDeploySchema

FILE = Path(__file__).resolve().parents[3] / "serve_apps" / "signal.yaml"
TRACE = Path(__file__).resolve().parents[1] / "autoscaling" / "traces" / "seed_orchestrator_step10.json.gz"


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


def test_it_scales_as_the_seeds_orchestrator_and_on_requests_in_flight_too() -> None:
    from serve_apps.signal import SignalServer

    with gzip.open(TRACE, "rt", encoding="utf-8") as file:
        recorded = json.load(file)["hpa_as_written"]["spec"]
    scaling = SignalServer._deployment_config.autoscaling_config
    arguments: dict[str, Any] = scaling.policy.policy_kwargs
    spec = arguments["manifest"]["spec"]
    *resources, requests = spec["metrics"]
    assert resources == recorded["metrics"]
    for field in ("minReplicas", "maxReplicas", "behavior"):
        assert spec[field] == recorded[field]
    assert (scaling.min_replicas, scaling.max_replicas) == (1, 5)
    target = int(requests["pods"]["target"]["averageValue"])
    # What waits at the proxy is not in flight: a target above the bound would never be reached.
    assert 0 < target < SignalServer._deployment_config.max_ongoing_requests
    assert {arguments[name] for name in ("cpu_request", "memory_request")} == {"500m", "1Gi"}


def test_the_file_leaves_the_scaling_to_the_manifest_of_the_code() -> None:
    (deployment,) = yaml.safe_load(FILE.read_text())["applications"][0]["deployments"]
    assert not deployment.keys() & {"autoscaling_config", "num_replicas"}
