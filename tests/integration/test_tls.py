"""Serve's proxy with a certificate: the edges know that a request came over TLS."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cluster.local.port import free_port


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a key and its own certificate for 127.0.0.1; return both files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "alpharay test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_file, certificate_file = folder / "key.pem", folder / "certificate.pem"
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return key_file, certificate_file


@pytest.fixture(scope="module")
def certificate(ray_cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Yield the address of a guarded application behind TLS and its certificate."""
    from ray import serve

    key_file, certificate_file = write_certificate(tmp_path_factory.mktemp("tls"))
    port = free_port()

    def build() -> object:
        from fastapi import FastAPI

        from alpharay.settings import Settings
        from serve_apps.edges.edges import edges_of
        from serve_apps.edges.guarded_application import GuardedApplication

        api = FastAPI()

        @api.get("/")
        async def index() -> dict[str, str]:
            return {"status": "here"}

        return GuardedApplication(api, edges_of(Settings(), "tls"))

    try:
        serve.start(
            proxy_location="HeadOnly",
            http_options={
                "host": "127.0.0.1",
                "port": port,
                "ssl_keyfile": str(key_file),
                "ssl_certfile": str(certificate_file),
            },
        )
        small = serve.deployment(ray_actor_options={"num_cpus": 0.1})(serve.ingress(build)())
        serve.run(small.bind(), name="tls", route_prefix="/")
        yield f"127.0.0.1:{port}", certificate_file
    finally:
        serve.shutdown()


def test_over_tls_it_answers_those_who_trust_the_certificate_and_tells_browsers_to_stay(
    certificate: tuple[str, Path],
) -> None:
    address, file = certificate
    trusting = ssl.create_default_context(cafile=str(file))
    with httpx.Client(verify=trusting, trust_env=False, timeout=20.0) as client:
        response = client.get(f"https://{address}/")
        assert response.status_code == 200, response.text
        assert response.headers["strict-transport-security"] == "max-age=31536000"
    with httpx.Client(trust_env=False, timeout=20.0) as client:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            client.get(f"https://{address}/")
        with pytest.raises(httpx.TransportError):
            client.get(f"http://{address}/")
