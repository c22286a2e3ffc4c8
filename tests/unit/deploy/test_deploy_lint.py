"""What a stranger gets wrong in a manifest is said before anything is applied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cluster.deploy.lint.overlay import findings
from cluster.deploy.lint.schedules import is_schedule
from tests.unit.deploy.dev_overlay import chosen, rendering


def errors(manifests: Any) -> list[str]:
    return [f"{one.where}: {one.text}" for one in findings(manifests) if one.level == "error"]


def test_the_overlay_of_dev_has_no_error() -> None:
    assert errors(rendering().manifests) == []


def serving(manifests: Any) -> Any:
    return chosen(manifests, "RayService", "serving")["spec"]["rayClusterConfig"]


def group_upside_down(manifests: Any) -> None:
    serving(manifests)["workerGroupSpecs"][0].update(minReplicas=5, maxReplicas=3)


def group_out_of_bounds(manifests: Any) -> None:
    serving(manifests)["workerGroupSpecs"][0]["replicas"] = 9


def no_group(manifests: Any) -> None:
    serving(manifests)["workerGroupSpecs"] = []


def no_token(manifests: Any) -> None:
    del serving(manifests)["authOptions"]


def bad_upgrade(manifests: Any) -> None:
    chosen(manifests, "RayService", "serving")["spec"]["upgradeStrategy"] = {"type": "BlueGreen"}


def bad_serve_configuration(manifests: Any) -> None:
    chosen(manifests, "RayService", "serving")["spec"]["serveConfigV2"] = "applications"


def no_secret_key(manifests: Any) -> None:
    del chosen(manifests, "Secret", "alpharay")["data"]["POSTGRES_PASSWORD"]


def no_settings(manifests: Any) -> None:
    chosen(manifests, "ConfigMap", "alpharay")["metadata"]["name"] = "alpharey"


def bad_schedule(manifests: Any) -> None:
    chosen(manifests, "CronJob", "score")["spec"]["schedule"] = "*/5 25 * * *"


def as_root(manifests: Any) -> None:
    chosen(manifests, "StatefulSet", "kafka")["spec"]["template"]["spec"]["securityContext"] = {}


def no_memory_limit(manifests: Any) -> None:
    del chosen(manifests, "StatefulSet", "kafka")["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]


def lost_volume(manifests: Any) -> None:
    chosen(manifests, "StatefulSet", "postgres")["spec"]["volumeClaimTemplates"] = []


def bad_account(manifests: Any) -> None:
    chosen(manifests, "Job", "prepare")["spec"]["template"]["spec"]["serviceAccountName"] = "admin"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (group_upside_down, "RayService/serving: group general: minReplicas 5 is more than maxReplicas 3"),
        (group_out_of_bounds, "group general: replicas must be from 1 to 3, was 9"),
        (no_group, "enableInTreeAutoscaling needs a worker group"),
        (no_token, "set authOptions.mode: token"),
        (bad_upgrade, "type must be one of NewCluster, NewClusterWithIncrementalUpgrade, None, was 'BlueGreen'"),
        (bad_serve_configuration, "serveConfigV2 must be YAML with applications"),
        (no_secret_key, "StatefulSet/postgres: Secret alpharay has no key POSTGRES_PASSWORD"),
        (no_settings, "Job/prepare: ConfigMap alpharay is not in the overlay"),
        (bad_schedule, "CronJob/score: schedule must be five fields such as '*/5 * * * *', was '*/5 25 * * *'"),
        (as_root, "StatefulSet/kafka: its pods may run as root"),
        (no_memory_limit, "StatefulSet/kafka: kafka: set resources.limits.memory"),
        (lost_volume, "StatefulSet/postgres: postgres mounts volume 'data', which its pod has not"),
        (bad_account, "Job/prepare: account admin is not in the overlay"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_fault_is_an_error_that_says_what_to_do(spoil: Callable[[Any], None], said: str) -> None:
    manifests = rendering().manifests
    spoil(manifests)
    assert any(said in one for one in errors(manifests)), errors(manifests)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("*/5 * * * *", True),
        ("0 3 * * 0", True),
        ("0,30 8-18 1-15/2 * mon-fri", True),
        ("@daily", True),
        ("* * * *", False),
        ("60 * * * *", False),
        ("a * * * *", False),
        ("", False),
    ],
)
def test_a_schedule_has_five_fields_in_their_ranges(text: str, valid: bool) -> None:
    assert is_schedule(text) is valid
