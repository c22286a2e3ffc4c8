"""Install, upgrade, rollback and delete, against a cluster in memory."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.deploy import removal, revisions, rollout
from cluster.deploy.errors import DeployError
from cluster.deploy.manifests import Rendering
from cluster.deploy.rollout import Target
from cluster.deploy.settings_stamp import stamp
from tests.unit.deploy.dev_overlay import chosen, rendering
from tests.unit.deploy.fake_cluster import FakeApi, FakeKubectl, settle


class Bench:
    """A cluster in memory, and all that was reported."""

    def __init__(self) -> None:
        self.api = FakeApi()
        self.kubectl = FakeKubectl(self.api)
        self.said: list[tuple[str, str, str]] = []
        self.target = Target(self.kubectl, self.api, 0.2, lambda *words: self.said.append(words))

    def place(self, name: str) -> int:
        return self.kubectl.applied.index(name)


def dev(**settings: str) -> Rendering:
    wanted = rendering()
    chosen(wanted.manifests, "ConfigMap", "alpharay")["data"].update(settings)
    return Rendering(wanted.overlay, wanted.namespace, stamp(wanted.manifests))


def test_an_installation_comes_layer_by_layer_and_is_remembered() -> None:
    bench = Bench()
    assert rollout.install(bench.target, dev()).number == 1
    order = ["NetworkPolicy/default-deny", "StatefulSet/postgres", "Job/prepare", "RayService/serving"]
    assert [bench.place(one) for one in order] == sorted(bench.place(one) for one in order)
    (known,) = revisions.revisions(bench.api)
    assert (known.number, known.overlay, known.state) == (1, "dev", "deployed")
    assert ("RayService/serving", "up", "serving-a: signal RUNNING") in bench.said


def test_an_installation_may_be_repeated() -> None:
    bench = Bench()
    rollout.install(bench.target, dev())
    rollout.install(bench.target, dev())
    assert [one.state for one in revisions.revisions(bench.api)] == ["deployed", "deployed"]


def test_a_revision_holds_no_secret() -> None:
    bench = Bench()
    rollout.install(bench.target, dev())
    (known,) = revisions.revisions(bench.api)
    assert "RayService" in {one["kind"] for one in known.manifests}
    assert "Secret" not in {one["kind"] for one in known.manifests}


def test_nothing_is_changed_where_the_operator_is_missing() -> None:
    bench = Bench()
    del bench.api.known["ray.io/v1"]
    with pytest.raises(DeployError) as raised:
        rollout.install(bench.target, dev())
    assert any("kind RayService" in line and "helm install kuberay-operator" in line for line in raised.value.evidence)
    assert bench.kubectl.applied == []


def test_a_missing_secret_is_told_with_the_command_that_makes_it() -> None:
    bench, wanted = Bench(), dev()
    kept = tuple(one for one in wanted.manifests if one["kind"] != "Secret" or one["metadata"]["name"] != "ray-token")
    with pytest.raises(DeployError) as raised:
        rollout.install(bench.target, Rendering("dev", "alpharay", kept))
    assert raised.value.evidence == (
        "Secret ray-token: kubectl -n alpharay create secret generic ray-token --from-literal=auth_token=...",
    )
    assert bench.kubectl.applied == []


def test_a_missing_storage_class_is_told_with_those_that_are_there() -> None:
    bench, wanted = Bench(), dev()
    claim = chosen(wanted.manifests, "StatefulSet", "postgres")["spec"]["volumeClaimTemplates"][0]
    claim["spec"]["storageClassName"] = "fast-ssd"
    with pytest.raises(DeployError) as raised:
        rollout.install(bench.target, wanted)
    assert raised.value.evidence == ("storage class fast-ssd: there are standard; name one of them in the overlay",)


def test_what_does_not_come_up_is_told_with_its_events_and_last_lines() -> None:
    bench = Bench()

    def settle_but_postgres(found: dict[str, Any]) -> None:
        settle(found)
        if found["metadata"]["name"] == "postgres" and found["kind"] == "StatefulSet":
            found["status"]["readyReplicas"] = 0
            waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
            broken = [{"name": "main", "ready": False, "state": waiting}]
            bench.api.pod("postgres-0", {"app": "postgres"}, conditions=[], containerStatuses=broken)
            bench.api.put(
                "v1",
                "Event",
                "postgres-0.1",
                involvedObject={"name": "postgres-0"},
                type="Warning",
                reason="BackOff",
                message="restarting",
            )
            bench.api.logs["postgres-0"] = "FATAL: no space left on device\n"

    bench.kubectl.settle = settle_but_postgres
    with pytest.raises(DeployError, match="StatefulSet/postgres: not ready after") as raised:
        rollout.install(bench.target, dev())
    evidence = "\n".join(raised.value.evidence)
    assert "main: CrashLoopBackOff back-off 10s" in evidence
    assert "BackOff: restarting" in evidence
    assert "main | FATAL: no space left on device" in evidence
    assert "kubectl -n alpharay logs postgres-0 -c main --tail=100" in raised.value.next_steps
    assert "RayService/serving" not in bench.kubectl.applied
    assert [one.state for one in revisions.revisions(bench.api)] == ["failed"]


def test_a_migration_that_fails_stops_the_upgrade_before_anything_else_changes() -> None:
    bench = Bench()
    rollout.install(bench.target, dev())
    bench.kubectl.applied.clear()

    def settle_but_job(found: dict[str, Any]) -> None:
        settle(found)
        if found["kind"] == "Job":
            found["status"] = {"conditions": [{"type": "Failed", "status": "True", "message": "BackoffLimitExceeded"}]}

    bench.kubectl.settle = settle_but_job
    with pytest.raises(DeployError, match="Job/prepare: failed: BackoffLimitExceeded"):
        rollout.upgrade(bench.target, dev(ALPHARAY_LOG_LEVEL="DEBUG"))
    assert "StatefulSet/postgres" not in bench.kubectl.applied
    assert "RayService/serving" not in bench.kubectl.applied


def test_an_upgrade_migrates_first_and_rollback_returns_to_the_revision_before() -> None:
    bench = Bench()
    rollout.install(bench.target, dev())
    bench.kubectl.applied.clear()
    rollout.upgrade(bench.target, dev(ALPHARAY_LOG_LEVEL="DEBUG"))
    assert bench.place("Job/prepare") < bench.place("StatefulSet/kafka") < bench.place("RayService/serving")
    settings = bench.api.read("v1", "ConfigMap", "alpharay")
    assert settings is not None
    assert settings["data"]["ALPHARAY_LOG_LEVEL"] == "DEBUG"

    bench.kubectl.applied.clear()
    assert rollout.rollback(bench.target).number == 3
    settings = bench.api.read("v1", "ConfigMap", "alpharay")
    assert settings is not None
    assert settings["data"]["ALPHARAY_LOG_LEVEL"] == "INFO"
    assert "Job/prepare" not in bench.kubectl.applied
    assert "Secret/alpharay" not in bench.kubectl.applied


def test_what_an_upgrade_leaves_out_is_deleted_but_never_what_holds_data() -> None:
    bench = Bench()
    rollout.install(bench.target, dev())
    wanted = dev()
    left_out = {("CronJob", "train"), ("StatefulSet", "ray-state"), ("Secret", "ray-token")}
    kept = tuple(one for one in wanted.manifests if (one["kind"], one["metadata"]["name"]) not in left_out)
    rollout.upgrade(bench.target, Rendering("dev", "alpharay", kept))
    assert bench.kubectl.deleted == ["CronJob/train"]


def test_an_upgrade_of_nothing_is_refused() -> None:
    bench = Bench()
    with pytest.raises(DeployError, match="nothing is installed here"):
        rollout.upgrade(bench.target, dev())
    assert bench.kubectl.applied == []


def test_a_rollback_goes_past_a_failed_revision_and_refuses_without_a_good_one() -> None:
    bench = Bench()
    with pytest.raises(DeployError, match="no earlier revision that was deployed to return to; known are: none"):
        rollout.rollback(bench.target)
    rollout.install(bench.target, dev())
    failed = revisions.begin(bench.api, "dev", dev().manifests)
    revisions.end(bench.api, failed, revisions.FAILED)
    assert revisions.to_return_to(revisions.revisions(bench.api)).number == 1
    with pytest.raises(DeployError, match=r"there is no revision 9 to return to; known are: 2 \(failed, "):
        rollout.rollback(bench.target, 9)


def test_ten_revisions_are_kept() -> None:
    bench = Bench()
    for _ in range(12):
        revisions.begin(bench.api, "dev", ())
    assert [one.number for one in revisions.revisions(bench.api)] == list(range(12, 2, -1))


def test_deleting_takes_ray_first_and_keeps_data() -> None:
    bench = Bench()
    rollout.install(bench.target, dev())
    removal.delete(bench.target, dev(), data=False)
    deleted = bench.kubectl.deleted
    assert deleted.index("RayService/serving") < deleted.index("StatefulSet/ray-state")
    assert not {"Namespace/alpharay", "Secret/alpharay"} & set(deleted)
    assert revisions.revisions(bench.api) != []


def test_deleting_with_data_takes_volumes_history_and_namespace() -> None:
    bench = Bench()
    rollout.install(bench.target, dev())
    bench.api.put("v1", "PersistentVolumeClaim", "data-kafka-0")
    removal.delete(bench.target, dev(), data=True)
    assert bench.kubectl.deleted[-1] == "Namespace/alpharay"
    assert bench.api.items("v1", "PersistentVolumeClaim") == []
    assert bench.api.items("v1", "Secret") == []
    assert revisions.revisions(bench.api) == []


def test_deleting_waits_for_ray_clusters_before_it_takes_what_they_write_to() -> None:
    bench = Bench()
    rollout.install(bench.target, dev())
    bench.api.put("ray.io/v1", "RayCluster", "serving-a")
    with pytest.raises(DeployError, match="Ray clusters: not ready after"):
        removal.delete(bench.target, dev(), data=False)
    assert "StatefulSet/ray-state" not in bench.kubectl.deleted
