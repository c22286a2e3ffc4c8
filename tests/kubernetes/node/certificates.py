"""The node's certificate authority, its server's certificate, and the administrator's access."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.kubernetes.node.folders import API_SERVICE_ADDRESS, CERTIFICATES, KUBECONFIG, NODE_ADDRESS

LIFE = timedelta(days=7)
NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
)
ADDRESSES = ("127.0.0.1", API_SERVICE_ADDRESS, NODE_ADDRESS)


def make() -> None:
    """Write authority, server certificate, the key of service accounts, and the administrator's kubeconfig."""
    CERTIFICATES.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority_key, server_key, accounts_key = _key("ca"), _key("apiserver"), _key("service-accounts")
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "alpharay-node")])
    certificate = (
        _certificate(authority, authority, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    _write("ca.crt", certificate)
    server = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in NAMES]
    names += [x509.IPAddress(ip_address(address)) for address in ADDRESSES]
    _write(
        "apiserver.crt",
        _certificate(server, authority, server_key)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .sign(authority_key, hashes.SHA256()),
    )
    (CERTIFICATES / "service-accounts.pub").write_bytes(
        accounts_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    token = secrets.token_hex(16)
    (CERTIFICATES / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    KUBECONFIG.write_text(yaml.safe_dump(_kubeconfig(token)))
    KUBECONFIG.chmod(0o600)


def _kubeconfig(token: str) -> dict[str, object]:
    server = {"server": "https://127.0.0.1:6443", "certificate-authority": str(CERTIFICATES / "ca.crt")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "node", "cluster": server}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "node", "context": {"cluster": "node", "user": "admin"}}],
        "current-context": "node",
    }


def _key(name: str) -> rsa.RSAPrivateKey:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    file = CERTIFICATES / f"{name}.key"
    file.touch(mode=0o600)
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    return key


def _certificate(subject: x509.Name, issuer: x509.Name, key: rsa.RSAPrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + LIFE)
    )


def _write(name: str, certificate: x509.Certificate) -> Path:
    file = CERTIFICATES / name
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return file
