"""A changed setting changes the pods that read it, and no others."""

from __future__ import annotations

from typing import Any

from cluster.deploy.pod_templates import pod_templates
from cluster.deploy.settings_stamp import ANNOTATION, stamp
from tests.unit.deploy.dev_overlay import chosen, rendering


def stamps(manifests: Any, kind: str, name: str) -> list[str | None]:
    return [
        template.get("metadata", {}).get("annotations", {}).get(ANNOTATION)
        for template in pod_templates(chosen(manifests, kind, name))
    ]


def test_a_changed_setting_changes_ray_pods_and_leaves_brokers_and_database() -> None:
    before = stamp(rendering().manifests)
    changed = rendering().manifests
    chosen(changed, "ConfigMap", "alpharay")["data"]["ALPHARAY_LOG_LEVEL"] = "DEBUG"
    after = stamp(changed)
    head, worker = stamps(before, "RayService", "serving")
    assert head is not None
    assert head == worker
    assert stamps(after, "RayService", "serving") != [head, worker]
    assert stamps(after, "StatefulSet", "kafka") == stamps(before, "StatefulSet", "kafka") != [None]
    assert stamps(after, "StatefulSet", "postgres") == [None]


def test_jobs_and_schedules_are_left_as_they_are_because_each_run_is_a_new_pod() -> None:
    manifests = rendering().manifests
    for before, after in zip(manifests, stamp(manifests), strict=True):
        if before["kind"] in {"Job", "CronJob", "ConfigMap", "Secret"}:
            assert after is before


def test_stamping_changes_nothing_in_place_and_is_the_same_every_time() -> None:
    manifests = rendering().manifests
    assert stamp(manifests) == stamp(stamp(manifests))
    assert stamps(manifests, "RayService", "serving") == [None, None]
