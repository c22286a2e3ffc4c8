"""What each environment's objects keep, as kubectl renders them: every reference resolves, every pod is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.unit.cluster.rendered import (
    CLUSTER,
    EVERYTHING,
    RENDERED,
    Document,
    named,
    needs_kubectl,
    of_kind,
    pods,
    quantity,
    render,
    templates,
)

pytestmark = needs_kubectl
TWO_CLUSTERS = ("staging", "prod", EVERYTHING)
LIVE_LONG = ("Deployment", "StatefulSet", "DaemonSet", "RayCluster", "RayService")
CLUSTER_WIDE = {"Namespace", "PriorityClass", "ClusterRole", "ClusterRoleBinding", "StorageClass"}
# What the operator makes, or a person.
MADE_BY_OTHERS = {"Service": {"serving-serve-svc"}, "Secret": {"back-up-s3", "grafana"}}


def title(document: Document) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


def containers(pod: Document) -> Iterator[Document]:
    yield from (*pod["containers"], *pod.get("initContainers", ()))


@pytest.mark.parametrize("overlay", RENDERED)
def test_every_pod_meets_the_restricted_standard(overlay: str) -> None:
    for document in render(overlay):
        for pod in pods(document):
            context = pod["securityContext"]
            assert context["runAsNonRoot"] is True, title(document)
            assert context["runAsUser"] > 0, title(document)
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}, title(document)
            assert not any("hostPath" in volume for volume in pod.get("volumes", ())), title(document)
            assert not pod.get("hostNetwork"), title(document)
            for container in containers(pod):
                locked = container["securityContext"]
                assert locked["allowPrivilegeEscalation"] is False, title(document)
                assert locked["readOnlyRootFilesystem"] is True, title(document)
                assert locked["capabilities"] == {"drop": ["ALL"]}, title(document)
                assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), title(document)
                assert "memory" in container["resources"]["limits"], title(document)


@pytest.mark.parametrize("overlay", TWO_CLUSTERS)
def test_what_lives_long_has_the_memory_that_it_may_use(overlay: str) -> None:
    for document in of_kind(overlay, *LIVE_LONG):
        for pod in pods(document):
            for container in containers(pod):
                resources = container["resources"]
                assert resources["requests"]["memory"] == resources["limits"]["memory"], title(document)


@pytest.mark.parametrize("overlay", RENDERED)
def test_everything_is_in_the_one_namespace_of_its_environment(overlay: str) -> None:
    (namespace,) = of_kind(overlay, "Namespace")
    for document in render(overlay):
        if document["kind"] not in CLUSTER_WIDE:
            assert document["metadata"]["namespace"] == namespace["metadata"]["name"], title(document)


def test_environments_have_namespaces_of_their_own() -> None:
    names = [of_kind(overlay, "Namespace")[0]["metadata"]["name"] for overlay in ("dev", "staging", "prod")]
    assert len(set(names)) == 3


def references(document: Any) -> Iterator[tuple[str, str]]:
    """Return what a document names: kind and name."""
    if isinstance(document, list):
        for value in document:
            yield from references(value)
    if not isinstance(document, dict):
        return
    for key, value in document.items():
        match key, value:
            case (("configMapKeyRef" | "configMapRef" | "configMap"), {"name": str(name)}):
                yield "ConfigMap", name
            case (("secretKeyRef" | "secretRef"), {"name": str(name)}):
                yield "Secret", name
            case ("secretName", str(name)) if "items" in document or "defaultMode" in document or "mode" in document:
                yield "Secret", name
            case "persistentVolumeClaim", {"claimName": str(name)}:
                yield "PersistentVolumeClaim", name
            case "serviceAccountName", str(name):
                yield "ServiceAccount", name
            case "priorityClassName", str(name):
                yield "PriorityClass", name
            case "backendRefs", [*backends]:
                yield from (("Service", backend["name"]) for backend in backends)
            case "service", {"name": str(name), "port": _}:
                yield "Service", name
            case _:
                pass
        yield from references(value)


@pytest.mark.parametrize("overlay", RENDERED)
def test_what_is_named_is_there(overlay: str) -> None:
    known = {(one["kind"], one["metadata"]["name"]) for one in render(overlay)}
    known |= {("Secret", one["spec"]["target"]["name"]) for one in of_kind(overlay, "ExternalSecret")}
    known |= {(kind, name) for kind, names in MADE_BY_OTHERS.items() for name in names}
    known |= {
        ("PersistentVolumeClaim", f"{claim['metadata']['name']}-{one['metadata']['name']}-0")
        for one in of_kind(overlay, "StatefulSet")
        for claim in one["spec"].get("volumeClaimTemplates", ())
    }
    for document in render(overlay):
        assert set(references(document)) <= known, title(document)


@pytest.mark.parametrize("overlay", RENDERED)
def test_every_pod_is_under_a_policy_of_its_own(overlay: str) -> None:
    policies = of_kind(overlay, "NetworkPolicy")
    assert [one["spec"] for one in policies if one["metadata"]["name"] == "default-deny"] == [
        {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    ]
    chosen = [one["spec"]["podSelector"].get("matchLabels", {}) for one in policies]
    for document in render(overlay):
        for template in templates(document):
            labels = template["metadata"]["labels"]
            assert any(choice and choice.items() <= labels.items() for choice in chosen), title(document)
    # Some enforcers read matchLabels and single ports only, and take all else for "everything".
    text = yaml.safe_dump(policies)
    assert "matchExpressions" not in text
    assert "endPort" not in text


@pytest.mark.parametrize("overlay", TWO_CLUSTERS)
def test_ray_nodes_speak_within_their_own_cluster(overlay: str) -> None:
    both = {"matchLabels": {"role": "ray"}}
    for policy in of_kind(overlay, "NetworkPolicy"):
        if policy["spec"]["podSelector"] != both:
            continue
        peers = [
            peer
            for rule in (*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ()))
            for peer in (*rule.get("from", ()), *rule.get("to", ()))
        ]
        assert {"podSelector": both} not in peers
    for one in ("serving", "work"):
        spec = named(overlay, "NetworkPolicy", f"{one}-nodes")["spec"]
        assert spec["ingress"][0] == {"from": [{"podSelector": {"matchLabels": {"app": one}}}]}
        assert spec["egress"] == [{"to": [{"podSelector": {"matchLabels": {"app": one}}}]}]


@pytest.mark.parametrize("overlay", TWO_CLUSTERS)
def test_schedules_post_to_the_cluster_that_works(overlay: str) -> None:
    assert [title(one) for one in of_kind(overlay, "RayCluster", "RayService")] == [
        "RayCluster work",
        "RayService serving",
    ]
    settings = named(overlay, "ConfigMap", "alpharay")["data"]
    assert settings["ALPHARAY_RAY_DASHBOARD_URL"] == "http://work-head-svc:8265"
    (rule,) = named(overlay, "NetworkPolicy", "submitter")["spec"]["egress"]
    assert rule == {"to": [{"podSelector": {"matchLabels": {"app": "work"}}}], "ports": [{"port": 8265}]}


@pytest.mark.parametrize("overlay", TWO_CLUSTERS)
def test_work_asks_for_groups_that_the_work_cluster_has(overlay: str) -> None:
    settings = named(overlay, "ConfigMap", "alpharay")["data"]
    groups = {one["groupName"]: one for one in named(overlay, "RayCluster", "work")["spec"]["workerGroupSpecs"]}
    for name in ("ALPHARAY_SEARCH_GROUPS", "ALPHARAY_TRAINING_GROUPS", "ALPHARAY_ACTOR_GROUPS"):
        assert set(settings[name].split(",")) <= groups.keys(), name
    # Actors that are always there keep a node, so there must be one; searches and trainings must find room elsewhere.
    assert groups[settings["ALPHARAY_ACTOR_GROUPS"]]["minReplicas"] >= 1
    assert ("spot" in settings["ALPHARAY_SEARCH_GROUPS"]) == (overlay == EVERYTHING)


@pytest.mark.parametrize("overlay", RENDERED)
def test_every_command_runs_a_module_that_has_its_options(overlay: str) -> None:
    for document in render(overlay):
        for pod in pods(document):
            for container in pod["containers"]:
                words = container.get("args", [])
                # A schedule's own command, and the job that it submits.
                for start in [number for number, word in enumerate(words) if word == "python"]:
                    end = words.index("--", start) if "--" in words[start:] else len(words)
                    _, flag, module, *options = words[start:end]
                    assert flag == "-m", title(document)
                    path = CLUSTER.parent / module.replace(".", "/")
                    source = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__main__.py"
                    text = source.read_text()
                    for option in (word for word in options if word.startswith("--")):
                        parameter = option.removeprefix("--").replace("-", "_")
                        assert option in text or f"    {parameter}: Annotated" in text, (title(document), option)


@pytest.mark.parametrize("overlay", ["staging", "prod"])
def test_back_ups_are_made_by_the_clock_and_restored_by_hand(overlay: str) -> None:
    by_hand = {one["metadata"]["name"]: one["spec"].get("suspend", False) for one in of_kind(overlay, "CronJob")}
    assert {name for name, suspended in by_hand.items() if suspended} == {"restore-database", "restore-base"}
    assert {"back-up-database", "back-up-base", "back-up-configuration"} <= by_hand.keys()
    for name, days in (("back-up-database", "30"), ("back-up-base", "90")):
        spec = named(overlay, "CronJob", name)["spec"]
        assert spec["concurrencyPolicy"] == "Forbid"
        (container,) = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        assert {"name": "KEEP_DAYS", "value": days} in container["env"]
        script = container["command"][1].rpartition("/")[2]
        assert script in named(overlay, "ConfigMap", "back-up")["data"]
    # What a pod restores into is the volume of the StatefulSet, by the path that it has there.
    postgres = named(overlay, "StatefulSet", "postgres")["spec"]["template"]["spec"]["containers"][0]
    (restore,) = named(overlay, "CronJob", "restore-base")["spec"]["jobTemplate"]["spec"]["template"]["spec"][
        "containers"
    ]
    data = {one["name"]: one["value"] for one in postgres["env"] if "value" in one}["PGDATA"]
    assert {"name": "PGDATA", "value": data} in restore["env"]
    assert {"name": "data", "mountPath": "/var/lib/postgresql"} in restore["volumeMounts"]


@pytest.mark.parametrize("overlay", ["staging", "prod"])
def test_the_log_is_archived_longer_than_bases_are_kept_and_restored_from_there(overlay: str) -> None:
    pod = named(overlay, "StatefulSet", "postgres")["spec"]["template"]["spec"]
    (postgres,) = pod["containers"]
    said = {one["name"]: one["value"] for one in postgres["env"] if "value" in one}
    assert int(said["KEEP_DAYS"]) > 90 + 7
    assert {"--archive_mode=on", "--archive_timeout=300"} <= set(postgres["args"])
    (command,) = [one for one in postgres["args"] if one.startswith("--archive_command=")]
    script = next(word for word in command.split() if word.endswith(".sh"))
    mounts = {one["mountPath"]: one["name"] for one in postgres["volumeMounts"]}
    volumes = {one["name"]: one for one in pod["volumes"]}
    folder, _, file = script.rpartition("/")
    assert file in named(overlay, "ConfigMap", volumes[mounts[folder]]["configMap"]["name"])["data"]
    # The restore writes its own path into PostgreSQL's settings, and its pod has the scripts that it reads.
    job = named(overlay, "CronJob", "restore-base")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (restore,) = job["containers"]
    assert {"name": "WAL_ARCHIVE", "value": said["WAL_ARCHIVE"]} in restore["env"]
    assert {"name": "wal-archive", "mountPath": said["WAL_ARCHIVE"], "readOnly": True} in restore["volumeMounts"]
    assert volumes[mounts[said["WAL_ARCHIVE"]]] in job["volumes"]
    assert {"restore-base.sh", "recovery.sh"} <= named(overlay, "ConfigMap", "back-up")["data"].keys()


def test_what_is_copied_to_the_bucket_comes_back_by_hand_to_where_it_was() -> None:
    ways = (("back-up-s3", "fetch-back-up", "back-up"), ("wal-archive-s3", "fetch-wal-archive", "wal-archive"))
    for there, back, volume in ways:
        copied, fetched = (named(EVERYTHING, "CronJob", name)["spec"] for name in (there, back))
        assert (copied.get("suspend", False), fetched["suspend"]) == (False, True)
        pods_of_both = [one["jobTemplate"]["spec"]["template"]["spec"] for one in (copied, fetched)]
        sources = [pod["containers"][0]["args"][1] for pod in pods_of_both]
        targets = [pod["containers"][0]["args"][2] for pod in pods_of_both]
        assert sources == targets[::-1]
        mounts = [pod["containers"][0]["volumeMounts"][0] for pod in pods_of_both]
        assert [(one["name"], one["mountPath"], one.get("readOnly", False)) for one in mounts] == [
            (volume, f"/{volume}", True),
            (volume, f"/{volume}", False),
        ]
        assert pods_of_both[0]["volumes"] == pods_of_both[1]["volumes"]
    # Only PostgreSQL's node has the volume of its archive.
    for name in ("wal-archive-s3", "fetch-wal-archive"):
        spec = named(EVERYTHING, "CronJob", name)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        (term,) = spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        labels = named(EVERYTHING, "StatefulSet", "postgres")["spec"]["template"]["metadata"]["labels"]
        assert term["labelSelector"]["matchLabels"].items() <= labels.items()


def test_dev_archives_no_log() -> None:
    assert "wal-archive" not in yaml.safe_dump_all(render("dev"))


@pytest.mark.parametrize("overlay", TWO_CLUSTERS)
def test_accounts_may_do_little(overlay: str) -> None:
    for role in of_kind(overlay, "Role", "ClusterRole"):
        for rule in role["rules"]:
            assert "*" not in (*rule["verbs"], *rule["resources"], *rule["apiGroups"]), title(role)
            assert "secrets" not in rule["resources"], title(role)
            assert {"get", "list", "watch"} >= set(rule["verbs"]), title(role)
    (namespace,) = of_kind(overlay, "Namespace")
    for binding in of_kind(overlay, "RoleBinding"):
        for subject in binding["subjects"]:
            assert subject["namespace"] == namespace["metadata"]["name"], title(binding)
    for account in of_kind(overlay, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("overlay", TWO_CLUSTERS)
def test_the_shapes_of_worker_pods_are_told_apart(overlay: str) -> None:
    groups = {one["groupName"]: one for one in named(overlay, "RayCluster", "work")["spec"]["workerGroupSpecs"]}
    assert list(groups)[:3] == ["general", "cpu-optimised", "memory-optimised"]
    assert (overlay == EVERYTHING) == ({"gpu", "spot"} <= groups.keys())
    for name, group in groups.items():
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"], name
        assert group["labels"] == {"alpharay.dev/group": name}
        (worker,) = group["template"]["spec"]["containers"]
        # A worker that is told to leave says so to its cluster.
        assert worker["lifecycle"]["preStop"]["exec"]["command"] == ["ray", "stop"]
    # No job's work on the head.
    assert named(overlay, "RayCluster", "work")["spec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


@pytest.mark.parametrize("overlay", RENDERED)
def test_every_overlay_serves_the_applications_of_serve_apps(overlay: str) -> None:
    config = yaml.safe_load(named(overlay, "RayService", "serving")["spec"]["serveConfigV2"])
    deployed = {one["name"]: one for one in config["applications"]}
    assert deployed.keys() == {"signal", "risk", "portfolio"}
    for name, application in deployed.items():
        (ours,) = yaml.safe_load((CLUSTER.parent / "serve_apps" / f"{name}.yaml").read_text())["applications"]
        assert application["import_path"] == ours["import_path"]
        assert application["route_prefix"] == ours["route_prefix"]
        assert application.get("args", {}).keys() == ours.get("args", {}).keys()
        known = {one["name"] for one in ours["deployments"]}
        assert {one["name"] for one in application.get("deployments", ())} <= known


@pytest.mark.parametrize("overlay", TWO_CLUSTERS)
def test_orders_are_filled_with_the_prices_that_the_portfolio_shows(overlay: str) -> None:
    config = yaml.safe_load(named(overlay, "RayService", "serving")["spec"]["serveConfigV2"])
    (portfolio,) = [one["args"] for one in config["applications"] if one["name"] == "portfolio"]
    (executor,) = named(overlay, "Deployment", "executor")["spec"]["template"]["spec"]["containers"]
    words = executor["args"]
    (ingest,) = named(overlay, "CronJob", "ingest")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    for option in ("exchange", "timeframe"):
        for args in (words, ingest["args"]):
            assert args[args.index(f"--{option}") + 1] == portfolio[option]


@pytest.mark.parametrize("overlay", TWO_CLUSTERS)
def test_images_are_one_version_and_the_migration_is_its_own(overlay: str) -> None:
    tags = {
        container["image"].rsplit(":", 1)[1]
        for document in render(overlay)
        for pod in pods(document)
        for container in containers(pod)
        if "alpharay/alpharay" in container["image"]
    }
    (tag,) = tags
    assert tag != "latest"
    (job,) = of_kind(overlay, "Job")
    assert job["metadata"]["name"] == f"prepare-{tag.replace('.', '-')}"


@pytest.mark.parametrize("overlay", TWO_CLUSTERS)
def test_no_secret_is_written_down(overlay: str) -> None:
    assert of_kind(overlay, "Secret") == []
    assert named(overlay, "ConfigMap", "alpharay")["data"]["ALPHARAY_AUTHENTICATION"] == "required"


def demand(overlay: str) -> tuple[float, float, int]:
    """Return the cores, bytes and pods that an environment may ask for, an upgrade of the serving cluster included."""
    total = [0.0, 0.0, 0]

    def add(pod: Document, count: int, extra: Document | None = None) -> None:
        asked = [one["resources"]["requests"] for one in pod["containers"]] + ([extra] if extra else [])
        total[0] += count * sum(quantity(one["cpu"]) for one in asked)
        total[1] += count * sum(quantity(one["memory"]) for one in asked)
        total[2] += count

    for document in render(overlay):
        match document["kind"]:
            case "Deployment" | "StatefulSet":
                add(document["spec"]["template"]["spec"], document["spec"]["replicas"])
            case "Job":
                add(document["spec"]["template"]["spec"], 1)
            case "CronJob":
                add(document["spec"]["jobTemplate"]["spec"]["template"]["spec"], 1)
            case "RayCluster" | "RayService":
                times = 2 if document["kind"] == "RayService" else 1
                spec = document["spec"].get("rayClusterConfig", document["spec"])
                scaler = spec["autoscalerOptions"]["resources"]["requests"]
                add(spec["headGroupSpec"]["template"]["spec"], times, scaler)
                for group in spec["workerGroupSpecs"]:
                    add(group["template"]["spec"], times * group["maxReplicas"])
    return total[0], total[1], int(total[2])


@pytest.mark.parametrize("overlay", ["staging", "prod"])
def test_the_quota_leaves_room_for_an_upgrade_at_full_size(overlay: str) -> None:
    cores, memory, count = demand(overlay)
    hard = named(overlay, "ResourceQuota", "alpharay")["spec"]["hard"]
    # And no more than half as much again: a quota that nothing can meet protects nobody.
    assert cores <= quantity(hard["requests.cpu"]) <= 1.5 * cores
    assert memory <= quantity(hard["requests.memory"]) <= 1.5 * memory
    assert quantity(hard["limits.memory"]) >= memory
    assert count <= quantity(hard["pods"])
    claims = [
        (claim["spec"]["resources"]["requests"]["storage"], document["spec"]["replicas"])
        for document in of_kind(overlay, "StatefulSet")
        for claim in document["spec"].get("volumeClaimTemplates", ())
    ]
    claims += [
        (one["spec"]["resources"]["requests"]["storage"], 1) for one in of_kind(overlay, "PersistentVolumeClaim")
    ]
    assert sum(number for _, number in claims) <= quantity(hard["persistentvolumeclaims"])
    assert sum(quantity(size) * number for size, number in claims) <= quantity(hard["requests.storage"])


@pytest.mark.parametrize("overlay", TWO_CLUSTERS)
def test_a_disruption_budget_chooses_pods_and_leaves_a_way_out(overlay: str) -> None:
    # The operator adds the node's kind to the labels of Ray's pods.
    labels = [
        {**template["metadata"]["labels"], "ray.io/node-type": "worker"}
        for document in render(overlay)
        for template in templates(document)
    ]
    for budget in of_kind(overlay, "PodDisruptionBudget"):
        wanted = budget["spec"]["selector"]["matchLabels"]
        assert any(wanted.items() <= one.items() for one in labels), title(budget)
        assert budget["spec"].get("maxUnavailable", 1) != 0
        if "minAvailable" in budget["spec"]:
            assert overlay == "staging" or budget["spec"]["minAvailable"] < 2


@pytest.mark.parametrize("overlay", ["staging", "prod"])
def test_state_goes_before_service_and_service_before_searches(overlay: str) -> None:
    value = {one["metadata"]["name"]: one["value"] for one in of_kind(overlay, "PriorityClass")}
    assert value["alpharay-data"] > value["alpharay-serving"] > value["alpharay-work"]
    for document in of_kind(overlay, *LIVE_LONG):
        for pod in pods(document):
            assert pod["priorityClassName"] in value, title(document)
    work = named(overlay, "RayCluster", "work")["spec"]["workerGroupSpecs"]
    assert [one["template"]["spec"]["priorityClassName"] for one in work] == [
        "alpharay-serving",
        "alpharay-work",
        "alpharay-work",
    ]


def test_prod_has_more_of_everything_than_staging() -> None:
    assert all(much > little for much, little in zip(demand("prod"), demand("staging"), strict=True))


def test_hosts_differ_by_environment_and_are_one_in_each() -> None:
    hosts = {}
    for overlay in ("staging", "prod"):
        said = {one["hostname"] for one in named(overlay, "Gateway", "alpharay")["spec"]["listeners"]}
        said |= {host for route in of_kind(overlay, "HTTPRoute") for host in route["spec"]["hostnames"]}
        (hosts[overlay],) = said
    assert hosts["staging"] != hosts["prod"]


def test_brokers_of_someone_else_leave_none_of_ours() -> None:
    left = [title(one) for one in render(EVERYTHING) if one["metadata"]["name"] == "kafka"]
    assert left == []
    settings = named(EVERYTHING, "ConfigMap", "alpharay")["data"]
    assert "kafka-0" not in settings["ALPHARAY_KAFKA_BOOTSTRAP_SERVERS"]


def test_a_canary_goes_in_steps_that_fit() -> None:
    strategy = named(EVERYTHING, "RayService", "serving")["spec"]["upgradeStrategy"]
    assert strategy["type"] == "NewClusterWithIncrementalUpgrade"
    options = strategy["clusterUpgradeOptions"]
    assert options["stepSizePercent"] <= options["maxSurgePercent"]
