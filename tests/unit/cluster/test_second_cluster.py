"""The second cluster holds prod's data, fetched from the bucket, and does nothing with it."""

from __future__ import annotations

from cluster.deploy.lint.overlay import findings
from tests.unit.cluster.examples import EXAMPLES
from tests.unit.cluster.rendered import EVERYTHING, kustomize, named, needs_kubectl, of_kind, pods


@needs_kubectl
def test_a_second_cluster_holds_data_and_does_nothing_with_it() -> None:
    waiting = kustomize(EXAMPLES / "second-cluster")
    assert not {"RayService", "RayCluster"} & {one["kind"] for one in waiting}
    assert [one["metadata"]["name"] for one in waiting if one["kind"] == "Deployment"] == ["valkey"]
    schedules = {one["metadata"]["name"]: one for one in waiting if one["kind"] == "CronJob"}
    assert set(schedules) == {"fetch-back-up", "restore-database"}
    assert schedules["restore-database"]["spec"]["suspend"] is True
    assert schedules["fetch-back-up"]["spec"]["suspend"] is False
    for kind in ("StatefulSet", "PersistentVolumeClaim", "ExternalSecret", "ConfigMap", "Namespace"):
        held = [one for one in waiting if one["kind"] == kind and one["metadata"]["name"] != "bucket"]
        assert held == of_kind("prod", kind)
    assert not [one for one in findings(waiting) if one.level == "error"]


@needs_kubectl
def test_a_second_cluster_fetches_the_dumps_after_the_first_has_written_them() -> None:
    waiting = kustomize(EXAMPLES / "second-cluster")
    (second,) = [one for one in waiting if one["metadata"]["name"] == "fetch-back-up"]
    written, fetched = (
        int(one["spec"]["schedule"].split()[1]) for one in (named(EVERYTHING, "CronJob", "back-up-s3"), second)
    )
    assert written < fetched
    (copy,), (restore,) = (
        pod["containers"] for one in (second, named("prod", "CronJob", "restore-database")) for pod in pods(one)
    )
    assert copy["args"][1:3] == ["bucket:$(BUCKET)/database", "/back-up/database"]
    (volume,) = [one for one in copy["volumeMounts"] if one["name"] == "back-up"]
    assert not volume.get("readOnly")
    assert volume["mountPath"] in [one["mountPath"] for one in restore["volumeMounts"] if one["name"] == "back-up"]
