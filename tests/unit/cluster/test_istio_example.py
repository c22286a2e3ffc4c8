"""The example for Istio leads to what prod serves, and its limits fit those of the applications."""

from __future__ import annotations

import re

import yaml
from ray.serve.config import HTTPOptions

from alpharay.settings import Settings
from serve_apps import portfolio, risk, signal_scaling
from serve_apps.edges.waiting_room import MOST_WAITING_TOGETHER
from serve_apps.signal import STREAM_MARGIN_S
from tests.unit.cluster.examples import document, documents, namespace_of
from tests.unit.cluster.rendered import CLUSTER, named, needs_kubectl


def seconds(text: str) -> float:
    """Return a duration of Istio's as the examples write them: 30s."""
    assert text.endswith("s")
    return float(text.removesuffix("s"))


@needs_kubectl
def test_the_mesh_leads_where_the_gateway_of_prod_leads() -> None:
    gateway, route = named("prod", "Gateway", "alpharay"), named("prod", "HTTPRoute", "alpharay")
    (backend,) = route["spec"]["rules"][0]["backendRefs"]
    where = f"{backend['name']}.{namespace_of('prod')}.svc.cluster.local"
    services = document("istio.yaml", "VirtualService")["spec"]
    assert services["hosts"] == [gateway["spec"]["listeners"][0]["hostname"]]
    for one in services["http"]:
        (target,) = one["route"]
        assert target["destination"] == {"host": where, "port": {"number": backend["port"]}}
    assert document("istio.yaml", "DestinationRule")["spec"]["host"] == where
    doors = document("istio.yaml", "Gateway")
    assert services["gateways"] == [doors["metadata"]["name"]]
    assert all(server["hosts"] == services["hosts"] for server in doors["spec"]["servers"])
    certificate = gateway["spec"]["listeners"][0]["tls"]["certificateRefs"][0]["name"]
    assert doors["spec"]["servers"][0]["tls"]["credentialName"] == certificate
    assert {one["metadata"]["namespace"] for one in documents("istio.yaml")} == {namespace_of("prod")}


@needs_kubectl
def test_the_mesh_waits_longer_than_the_applications() -> None:
    serve = yaml.safe_load(named("prod", "RayService", "serving")["spec"]["serveConfigV2"])
    own = Settings.model_fields["request_time_limit_s"].default
    serves = serve["http_options"]["request_timeout_s"]
    assert serves - STREAM_MARGIN_S > own
    for one in document("istio.yaml", "VirtualService")["spec"]["http"]:
        assert seconds(one["timeout"]) > serves
        if "perTryTimeout" in one["retries"]:
            each = seconds(one["retries"]["perTryTimeout"])
            assert each > own
            assert each * (1 + one["retries"]["attempts"]) < seconds(one["timeout"])


def test_the_mesh_sends_again_only_what_is_read_or_was_never_sent() -> None:
    reading, acting = document("istio.yaml", "VirtualService")["spec"]["http"]
    assert [one["method"]["exact"] for one in reading["match"]] == ["GET", "HEAD"]
    assert "match" not in acting
    assert set(acting["retries"]["retryOn"].split(",")) == {"connect-failure", "reset-before-request"}
    # A busy application says when to come again: no status is a reason, for no method.
    assert not re.search(r"\d|5xx|gateway-error", reading["retries"]["retryOn"])


def test_the_mesh_lets_through_what_the_replicas_take() -> None:
    policy = document("istio.yaml", "DestinationRule")["spec"]["trafficPolicy"]
    pool = policy["connectionPool"]
    serve = yaml.safe_load((CLUSTER.parent / "serve_apps/all.yaml").read_text())
    most = {"signal": signal_scaling.MOST_REPLICAS, "risk": risk.MOST_REPLICAS, "portfolio": portfolio.MOST_REPLICAS}
    ongoing = {one["name"]: one["deployments"][0]["max_ongoing_requests"] for one in serve["applications"]}
    assert pool["tcp"]["maxConnections"] >= sum(most[name] * ongoing[name] for name in most)
    assert pool["http"]["http1MaxPendingRequests"] >= MOST_WAITING_TOGETHER
    assert seconds(pool["http"]["idleTimeout"]) < HTTPOptions().keep_alive_timeout_s
    # A worker is taken out for being away, not for what an application behind it answers; and half stay.
    assert policy["outlierDetection"]["consecutive5xxErrors"] == 0
    assert policy["outlierDetection"]["maxEjectionPercent"] <= 50
