"""How people get in: hosts from outside, ports forwarded from here, and where the token is."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.deploy.api import Api

GATEWAY = "gateway.networking.k8s.io/v1"
_FORWARDED = (
    ("serving-serve-svc", 8000, "applications: /docs, /risk/docs, /portfolio/docs"),
    ("serving-head-svc", 8265, "Ray's dashboard and Jobs API of the serving cluster"),
    ("work-head-svc", 8265, "Ray's dashboard and Jobs API of the work cluster"),
    ("grafana", 3000, "dashboards"),
    ("prometheus", 9090, "metrics"),
    ("alertmanager", 9093, "alerts"),
    ("jaeger", 16686, "traces"),
    ("kafka-ui", 8080, "topics and consumers"),
)


def hosts(api: Api) -> list[str]:
    """Return the addresses that the cluster is reached under from outside."""
    found = [
        f"{'https' if one['spec'].get('tls') else 'http'}://{rule['host']}"
        for one in api.items("networking.k8s.io/v1", "Ingress")
        for rule in one["spec"].get("rules", ())
        if rule.get("host")
    ]
    found += [
        f"https://{listener['hostname']}"
        for one in api.items(GATEWAY, "Gateway")
        for listener in one["spec"]["listeners"]
        if listener.get("hostname") and listener["protocol"] == "HTTPS"
    ]
    return sorted(set(found))


def forwards(api: Api) -> Iterator[tuple[str, str, str]]:
    """Yield, for each Service that is there, what it is, the command that forwards its port, and the local address."""
    there = {one["metadata"]["name"] for one in api.items("v1", "Service")}
    for name, port, what in _FORWARDED:
        if name in there:
            yield what, f"kubectl -n {api.namespace} port-forward svc/{name} {port}:{port}", f"http://127.0.0.1:{port}"


def token_command(api: Api) -> str:
    """Return the command that shows the token which Ray's dashboard and Jobs API ask for."""
    return f"kubectl -n {api.namespace} get secret ray-token -o jsonpath='{{.data.auth_token}}' | base64 -d"
