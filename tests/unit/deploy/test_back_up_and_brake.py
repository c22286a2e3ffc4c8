"""Back-ups made now, restores, and the emergency brake."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from cluster.deploy.back_up import back_up, fetch, restore_base, restore_database, until_of
from cluster.deploy.command import app
from cluster.deploy.errors import DeployError
from cluster.deploy.rollout import Target
from cluster.deploy.scale_down import scale_down, scale_up
from tests.unit.cluster.rendered import EVERYTHING, render
from tests.unit.deploy.dev_overlay import chosen, rendering
from tests.unit.deploy.fake_cluster import FakeApi, FakeKubectl, settle


class Cluster(FakeApi):
    """The overlay of prod, whose Jobs end at once and say what they did."""

    def __init__(self, *, jobs_end_well: bool = True) -> None:
        super().__init__("alpharay-prod")
        self.jobs_end_well = jobs_end_well
        self.made: list[dict[str, Any]] = []
        self.kubectl = FakeKubectl(self)
        for one in rendering("prod").manifests:
            if one["kind"] in {"CronJob", "StatefulSet", "Deployment", "RayCluster"}:
                found = self.put(one["apiVersion"], one["kind"], one["metadata"]["name"], spec=one["spec"])
                found["metadata"]["uid"] = "u-1"
                settle(found)

    def ask(self, method: str, path: str, **arguments: Any) -> Any:
        answer = super().ask(method, path, **arguments)
        if method == "POST":
            job = self.objects[f"{path}/{arguments['body']['metadata']['name']}"]
            name = job["metadata"]["name"]
            self.made.append(job)
            state = "Complete" if self.jobs_end_well else "Failed"
            job["status"] = {"conditions": [{"type": state, "status": "True", "message": "BackoffLimitExceeded"}]}
            phase = "Succeeded" if self.jobs_end_well else "Failed"
            ended = {"name": "main", "ready": False, "state": {"terminated": {"exitCode": int(not self.jobs_end_well)}}}
            self.pod(f"{name}-pod", {"job-name": name}, phase=phase, conditions=[], containerStatuses=[ended])
            self.logs[f"{name}-pod"] = f"reading\n{name.rpartition('-')[0]} is made\n"
        return answer

    def back_up(self, only: str | None = None) -> list[str]:
        return back_up(self, only, timeout_s=0.1, report=lambda *_: None)


def environment(job: dict[str, Any]) -> dict[str, str | None]:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one.get("value") for one in container["env"]}


def test_all_back_ups_are_made_and_none_is_restored() -> None:
    cluster = Cluster()
    assert cluster.back_up() == [
        "back-up-base is made",
        "back-up-configuration is made",
        "back-up-database is made",
    ]
    for job in cluster.made:
        (owner,) = job["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"]) == ("CronJob", "u-1")
        assert job["metadata"]["annotations"]["cronjob.kubernetes.io/instantiate"] == "manual"


def test_one_back_up_can_be_asked_for_and_an_unknown_one_is_told_those_there_are() -> None:
    cluster = Cluster()
    assert cluster.back_up("database") == ["back-up-database is made"]
    with pytest.raises(DeployError, match="no back-up 'kafka'; there are base, configuration, database"):
        cluster.back_up("kafka")


def test_what_a_bucket_has_is_fetched_the_log_only_where_it_is_asked_for() -> None:
    cluster = Cluster()
    for one in render(EVERYTHING):
        if one["metadata"]["name"].startswith("fetch-"):
            cluster.put(one["apiVersion"], one["kind"], one["metadata"]["name"], spec=one["spec"])["metadata"][
                "uid"
            ] = "u"
    fetch(cluster, archive=False, timeout_s=0.1, report=lambda *_: None)
    fetch(cluster, archive=True, timeout_s=0.1, report=lambda *_: None)
    made = [one["metadata"]["name"].rpartition("-")[0] for one in cluster.made]
    assert made == ["fetch-back-up", "fetch-back-up", "fetch-wal-archive"]


def test_nothing_is_fetched_where_there_is_no_bucket() -> None:
    cluster = Cluster()
    with pytest.raises(DeployError, match="no CronJob fetch-back-up: the overlay lacks the component back-up-s3"):
        fetch(cluster, archive=True, timeout_s=0.1, report=lambda *_: None)
    assert cluster.made == []


def test_a_back_up_that_fails_is_told_with_its_log() -> None:
    cluster = Cluster(jobs_end_well=False)
    with pytest.raises(DeployError, match="failed: BackoffLimitExceeded") as raised:
        cluster.back_up("database")
    assert any("back-up-database is made" in line for line in raised.value.evidence)


def test_a_back_up_that_fails_keeps_no_other_from_being_made() -> None:
    cluster = Cluster(jobs_end_well=False)
    with pytest.raises(DeployError):
        cluster.back_up()
    assert len(cluster.made) == 3


def test_without_the_component_it_is_said_that_it_is_missing() -> None:
    with pytest.raises(DeployError, match="lacks the component back-up"):
        back_up(FakeApi(), None, timeout_s=0.1, report=lambda *_: None)


def test_a_restore_names_its_back_up_and_keeps_the_other_variables() -> None:
    cluster = Cluster()
    restore_database(cluster, "20261121T020000Z.dump", timeout_s=0.1, report=lambda *_: None)
    (job,) = cluster.made
    assert environment(job)["BACK_UP"] == "20261121T020000Z.dump"
    assert environment(job)["PGHOST"] == "postgres"
    assert "suspend" not in job["spec"]


@pytest.mark.parametrize("jobs_end_well", [True, False])
def test_postgres_is_stopped_for_a_base_and_started_again_whatever_happens(jobs_end_well: bool) -> None:
    cluster = Cluster(jobs_end_well=jobs_end_well)
    cluster.asked.clear()
    try:
        restore_base(cluster, "latest", timeout_s=0.1, report=lambda *_: None)
        assert jobs_end_well
    except DeployError:
        assert not jobs_end_well
    path = "/apis/apps/v1/namespaces/alpharay-prod/statefulsets/postgres"
    steps = [method for method, at in cluster.asked if method != "GET" and (at == path or at.endswith("/jobs"))]
    assert steps == ["PATCH", "POST", "PATCH"]
    assert cluster.objects[path]["spec"]["replicas"] == 1


def test_a_base_is_not_restored_over_a_database_that_still_runs() -> None:
    cluster = Cluster()
    cluster.pod("postgres-0", {"app": "postgres"})
    with pytest.raises(DeployError, match="PostgreSQL: not ready after"):
        restore_base(cluster, "latest", timeout_s=0.05, report=lambda *_: None)
    assert cluster.made == []


def test_a_base_is_restored_until_a_time_that_its_job_is_told() -> None:
    cluster = Cluster()
    until = until_of("2026-11-21T11:30:00.25+01:30", now=datetime(2026, 11, 22, tzinfo=UTC))
    restore_base(cluster, "latest", timeout_s=0.1, report=lambda *_: None, until=until)
    (job,) = cluster.made
    assert environment(job)["UNTIL"] == "2026-11-21T10:00:00.250000+00:00"
    assert environment(job)["BACK_UP"] == "latest"
    assert environment(job)["WAL_ARCHIVE"] == "/wal-archive"


def test_without_an_archive_postgres_is_not_even_stopped_for_a_time() -> None:
    cluster = Cluster()
    schedule = cluster.read("batch/v1", "CronJob", "restore-base")
    assert schedule is not None
    (container,) = schedule["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    container["env"] = [one for one in container["env"] if one["name"] != "WAL_ARCHIVE"]
    cluster.asked.clear()
    with pytest.raises(DeployError, match="lacks the component wal-archive"):
        restore_base(cluster, "latest", timeout_s=0.1, report=lambda *_: None, until="end")
    assert {method for method, _ in cluster.asked} == {"GET"}
    # The back-up itself needs none.
    restore_base(cluster, "latest", timeout_s=0.1, report=lambda *_: None)
    assert environment(cluster.made[0])["UNTIL"] == ""


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--until", "2026-11-21T10:00:00Z"], "needs --base"),
        (["--base", "--until", "yesterday"], "must be a time with its zone, like 2026-11-21T10:00:00Z, or end"),
        (["--base", "--until", "2026-11-21T10:00:00"], "must be a time with its zone"),
        (["--base", "--until", "0001-01-01T00:00:00+05:00"], "must be a time with its zone"),
        (["--base", "--until", "2999-01-01T00:00:00Z"], "must have passed"),
    ],
)
def test_an_until_that_means_nothing_is_refused_before_anything_is_asked(words: list[str], reason: str) -> None:
    said = CliRunner().invoke(app, ["restore", "--overlay", "nowhere", *words])
    assert said.exit_code == 2
    # Framed, and wrapped as wide as the terminal is.
    text = " ".join(said.output.replace("│", " ").split())
    assert f"Invalid value for '--until': {reason}" in text


def test_the_brake_stops_what_acts_and_leaves_answers_data_and_back_ups() -> None:
    cluster, manifests = Cluster(), rendering("prod").manifests
    target = Target(cluster.kubectl, cluster, 0.1, lambda *_: None)
    stopped = scale_down(target, manifests)
    assert {"CronJob/ingest", "RayCluster/work", "Deployment/executor"} <= set(stopped)
    assert not {"CronJob/back-up-database", "Deployment/valkey", "CronJob/restore-base"} & set(stopped)
    executor = cluster.read("apps/v1", "Deployment", "executor")
    work = cluster.read("ray.io/v1", "RayCluster", "work")
    assert executor is not None
    assert work is not None
    assert executor["spec"]["replicas"] == 0
    assert work["spec"]["suspend"] is True

    assert scale_up(target, manifests) == stopped
    assert executor["spec"]["replicas"] == chosen(manifests, "Deployment", "executor")["spec"]["replicas"]
    assert work["spec"]["suspend"] is False
