"""TLS enabled on ingress."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime

from cluster.deploy.api import Object
from cluster.deploy.checks.verdict import Live, Verdict, fails, listed, passes

GATEWAY = "gateway.networking.k8s.io/v1"
LEAST_DAYS = 14


def ways_in_are_encrypted(live: Live) -> Verdict:
    """Pass when every way in ends TLS with a certificate good for two weeks; plain HTTP only redirects."""
    ingresses = live.api.items("networking.k8s.io/v1", "Ingress")
    gateways = live.api.items(GATEWAY, "Gateway")
    if not ingresses and not gateways:
        return fails("there is no way in from outside", "use the component gateway or ingress")
    plain = [one["metadata"]["name"] for one in ingresses if not one["spec"].get("tls")]
    for gateway in gateways:
        plain += [
            f"{gateway['metadata']['name']}/{listener['name']}"
            for listener in gateway["spec"]["listeners"]
            if listener["protocol"] == "HTTP" and not _only_redirects(live, gateway, listener["name"])
        ]
    if plain:
        return fails(f"answered without TLS: {listed(plain)}", "give it a certificate, or only redirect there")
    certificates = sorted({*_of_ingresses(ingresses), *_of_gateways(gateways)})
    unfit = [f"{name}: {why}" for name in certificates if (why := _unfit(live, name))]
    if unfit:
        return fails(listed(unfit), "kubectl describe certificate; is cert-manager there?")
    return passes(f"TLS with {listed(certificates)}")


def _only_redirects(live: Live, gateway: Object, listener: str) -> bool:
    routes = [
        route
        for route in live.api.items(GATEWAY, "HTTPRoute")
        for parent in route["spec"].get("parentRefs", ())
        if parent["name"] == gateway["metadata"]["name"] and parent.get("sectionName") in {None, listener}
    ]
    rules = [rule for route in routes for rule in route["spec"].get("rules", ())]
    return all(any(one["type"] == "RequestRedirect" for one in rule.get("filters", ())) for rule in rules)


def _of_ingresses(ingresses: list[Object]) -> Iterator[str]:
    for ingress in ingresses:
        for tls in ingress["spec"].get("tls", ()):
            yield tls.get("secretName", "")


def _of_gateways(gateways: list[Object]) -> Iterator[str]:
    for gateway in gateways:
        for listener in gateway["spec"]["listeners"]:
            for reference in listener.get("tls", {}).get("certificateRefs", ()):
                yield reference["name"]


def _unfit(live: Live, name: str) -> str:
    from cryptography import x509

    secret = live.api.read("v1", "Secret", name)
    if secret is None:
        return "no such Secret"
    try:
        certificate = x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"]))
    except (KeyError, ValueError):
        return "holds no certificate"
    days = (certificate.not_valid_after_utc - datetime.now(UTC)).days
    return "" if days >= LEAST_DAYS else f"is good for {days} more days"
