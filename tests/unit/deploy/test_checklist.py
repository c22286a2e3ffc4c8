"""Each line of the production checklist: what passes, what fails, and what cannot be told."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cluster.deploy.checks.checklist import LINES, check
from cluster.deploy.checks.verdict import Verdict
from cluster.deploy.errors import DeployError
from tests.unit.deploy.fake_cluster import READY, FakeApi, FakeKubectl

GATEWAY = "gateway.networking.k8s.io/v1"


class Cluster:
    """A cluster in memory, with one pod that is as it should be."""

    def __init__(self) -> None:
        self.api = FakeApi()
        self.kubectl = FakeKubectl(self.api)
        self.api.pod("postgres-0", {"app": "postgres"})
        self.container = self.pod("ray-state-0", {"app": "ray-state"})

    def pod(self, name: str, labels: dict[str, str]) -> dict[str, Any]:
        pod = self.api.pod(name, labels)
        container = {
            "name": "valkey",
            "env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "alpharay", "key": "P"}}}],
            "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
            "readinessProbe": {},
            "livenessProbe": {},
        }
        pod["spec"] = {"serviceAccountName": "data", "containers": [container]}
        return container

    def verdict(self, line: str) -> Verdict:
        return check(self.kubectl, self.api, [name for name in LINES if name != line])[line]

    def state(self, line: str) -> str:
        return self.verdict(line).state


def test_there_are_the_ten_lines_and_one_may_be_left_out() -> None:
    cluster = Cluster()
    assert len(LINES) == 10
    assert set(check(cluster.kubectl, cluster.api, ["tls"])) == set(LINES) - {"tls"}
    with pytest.raises(DeployError, match=r"--leave-out must be one of secrets, .*, was tsl"):
        check(cluster.kubectl, cluster.api, ["tsl"])


def test_what_the_cluster_refuses_to_say_cannot_be_told() -> None:
    cluster = Cluster()

    class Refusing(FakeApi):
        def items(self, api_version: str, kind: str, **chosen: str) -> list[Any]:
            if kind == "RoleBinding":
                raise DeployError("rolebindings: 403: forbidden")
            return super().items(api_version, kind, **chosen)

    refusing = Refusing()
    refusing.objects = cluster.api.objects
    verdict = check(cluster.kubectl, refusing, [name for name in LINES if name != "rights"])["rights"]
    assert (verdict.state, verdict.seen) == ("cannot tell", "rolebindings: 403: forbidden")


def test_secrets_pass_when_an_external_secret_in_step_makes_them() -> None:
    cluster = Cluster()
    assert "alpharay" in cluster.verdict("secrets").seen
    assert cluster.state("secrets") == "fail"
    external = cluster.api.put(
        "external-secrets.io/v1", "ExternalSecret", "alpharay", spec={"target": {"name": "alpharay"}}, status={}
    )
    assert "not in step" in cluster.verdict("secrets").seen
    external["status"]["conditions"] = READY
    assert cluster.state("secrets") == "pass"


def certificate(days: int) -> dict[str, str]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "api.example.com")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=now - timedelta(days=90),
        not_valid_after=now + timedelta(days=days, hours=1),
    ).sign(key, hashes.SHA256())
    return {"tls.crt": base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()}


def gateway(cluster: Cluster, *, redirects: bool) -> None:
    listeners = [
        {"name": "https", "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "tls"}]}},
        {"name": "http", "protocol": "HTTP"},
    ]
    cluster.api.put(GATEWAY, "Gateway", "door", spec={"listeners": listeners})
    filters = [{"type": "RequestRedirect"}] if redirects else []
    parents = [{"name": "door", "sectionName": "http"}]
    cluster.api.put(GATEWAY, "HTTPRoute", "plain", spec={"parentRefs": parents, "rules": [{"filters": filters}]})


@pytest.mark.parametrize(("days", "state"), [(60, "pass"), (3, "fail"), (-2, "fail")])
def test_a_gateway_needs_a_certificate_that_is_still_good(days: int, state: str) -> None:
    cluster = Cluster()
    gateway(cluster, redirects=True)
    assert cluster.verdict("tls").seen == "tls: no such Secret"
    cluster.api.put("v1", "Secret", "tls", data=certificate(days))
    assert cluster.state("tls") == state


def test_plain_http_may_only_redirect_and_no_way_in_is_no_tls() -> None:
    cluster = Cluster()
    assert cluster.verdict("tls").seen == "there is no way in from outside"
    gateway(cluster, redirects=False)
    cluster.api.put("v1", "Secret", "tls", data=certificate(60))
    assert cluster.verdict("tls").seen == "answered without TLS: door/http"


def test_an_ingress_without_tls_fails() -> None:
    cluster = Cluster()
    cluster.api.put("networking.k8s.io/v1", "Ingress", "door", spec={"rules": []})
    assert cluster.verdict("tls").seen == "answered without TLS: door"


@pytest.mark.parametrize(("said", "state"), [("closed", "pass"), ("open", "fail"), ("no name", "cannot tell")])
def test_policies_are_tried_at_a_door_that_none_opens(said: str, state: str) -> None:
    cluster = Cluster()
    assert cluster.state("policies") == "fail"
    deny = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    cluster.api.put("networking.k8s.io/v1", "NetworkPolicy", "default-deny", spec=deny)
    assert "postgres-0" in cluster.verdict("policies").seen
    for app in ("postgres", "ray-state"):
        spec = {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Ingress"]}
        cluster.api.put("networking.k8s.io/v1", "NetworkPolicy", app, spec=spec)
    cluster.kubectl.answer = lambda words, _: f"{said}\n" if "ray-state-0" in words else ""
    assert cluster.state("policies") == state


def serving(cluster: Cluster, most: int, scaling: dict[str, int] | None) -> None:
    group = {
        "groupName": "general",
        "minReplicas": 1,
        "maxReplicas": most,
        "template": {"metadata": {"labels": {"app": "s"}}},
    }
    config = {"enableInTreeAutoscaling": True, "workerGroupSpecs": [group]}
    cluster.api.put("ray.io/v1", "RayService", "serving", spec={"rayClusterConfig": config}, status={})
    cluster.api.pod("head", {"ray.io/node-type": "head"})
    deployment = {"deployment_config": {"autoscaling_config": scaling}}
    answer = {"serve": {"applications": {"signal": {"deployments": {"S": deployment}}}}}
    cluster.kubectl.answer = lambda *_: json.dumps(answer)


@pytest.mark.parametrize(
    ("most", "scaling", "state"),
    [(3, {"min_replicas": 1, "max_replicas": 5}, "pass"), (1, None, "fail"), (3, None, "fail")],
)
def test_replicas_must_follow_their_load_and_the_cluster_the_replicas(most: int, scaling: Any, state: str) -> None:
    cluster = Cluster()
    assert cluster.state("autoscaling") == "fail"
    serving(cluster, most, scaling)
    assert cluster.state("autoscaling") == state


def test_what_runs_as_several_pods_needs_a_budget() -> None:
    cluster = Cluster()
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "kafka"}}}
    cluster.api.put("apps/v1", "StatefulSet", "kafka", spec=spec)
    assert cluster.verdict("budgets").seen == "a drain may take all of kafka"
    cluster.api.put("policy/v1", "PodDisruptionBudget", "kafka", spec={"selector": {"matchLabels": {"app": "kafka"}}})
    assert cluster.state("budgets") == "pass"
    serving(cluster, 3, None)
    assert cluster.verdict("budgets").seen == "a drain may take all of serving/general"


def test_monitors_without_a_prometheus_in_sight_cannot_be_told() -> None:
    cluster = Cluster()
    assert cluster.state("monitoring") == "fail"
    operator = "monitoring.coreos.com/v1"
    cluster.api.put(operator, "PodMonitor", "ray", spec={})
    cluster.api.put(
        operator, "PrometheusRule", "ours", spec={"groups": [{"rules": [{"alert": "Stale"}, {"record": "x"}]}]}
    )
    verdict = cluster.verdict("monitoring")
    assert verdict.state == "cannot tell"
    assert verdict.seen.startswith("1 monitors and 1 alerts")
    for name in ("prometheus", "alertmanager"):
        cluster.api.put("apps/v1", "Deployment", name, spec={}, status={"readyReplicas": 1})
    assert cluster.state("monitoring") == "pass"


@pytest.mark.parametrize(
    ("schedule", "age_hours", "state"),
    [
        ("0 2 * * *", 3, "pass"),
        ("0 2 * * *", 40, "fail"),
        ("0 2 * * 0", 40, "pass"),
        ("0 2 * * *", None, "cannot tell"),
    ],
)
def test_back_ups_are_scheduled_and_young_enough(schedule: str, age_hours: float | None, state: str) -> None:
    cluster = Cluster()
    assert cluster.state("back-ups") == "fail"
    made = None if age_hours is None else (datetime.now(UTC) - timedelta(hours=age_hours)).isoformat()
    status = {} if made is None else {"lastSuccessfulTime": made}
    cluster.api.put("batch/v1", "CronJob", "back-up-database", spec={"schedule": schedule}, status=status)
    cluster.api.put("batch/v1", "CronJob", "restore-database", spec={"schedule": schedule, "suspend": True}, status={})
    assert cluster.state("back-ups") == state


def test_containers_without_bounds_or_probes_are_named() -> None:
    cluster = Cluster()
    cluster.api.delete("v1", "Pod", "postgres-0")
    assert (cluster.state("limits"), cluster.state("probes")) == ("pass", "pass")
    del cluster.container["resources"]["limits"]
    del cluster.container["livenessProbe"]
    assert "ray-state-0/valkey" in cluster.verdict("limits").seen
    assert cluster.verdict("probes").seen == "without probes: ray-state-0/valkey (liveness)"


def test_the_pod_of_a_job_needs_no_probe() -> None:
    cluster = Cluster()
    cluster.api.delete("v1", "Pod", "postgres-0")
    container = cluster.pod("score-1", {"job-name": "score"})
    del container["readinessProbe"]
    assert cluster.state("probes") == "pass"


def test_rights_are_least() -> None:
    cluster = Cluster()
    assert cluster.verdict("rights").seen == "run as the account `default`: postgres-0"
    cluster.api.delete("v1", "Pod", "postgres-0")
    assert cluster.state("rights") == "pass"
    mount = {"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    cluster.container["volumeMounts"] = [mount]
    assert cluster.verdict("rights").seen == "hold a token without any right: ray-state-0"
    rbac = "rbac.authorization.k8s.io/v1"
    subject = {"kind": "ServiceAccount", "name": "data"}
    reference = {"kind": "Role", "name": "reader"}
    cluster.api.put(rbac, "RoleBinding", "reader", subjects=[subject], roleRef=reference)
    assert cluster.state("rights") == "pass"
    cluster.api.put(rbac, "Role", "reader", rules=[{"verbs": ["*"], "resources": ["pods"]}])
    assert cluster.verdict("rights").seen == "allow everything: reader"
