"""Access tokens: valid ones, and each way to forge one."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from serve_apps.edges import access_tokens
from serve_apps.edges.access_tokens import LEEWAY_S, MAX_CHARACTERS, AccessTokens

SECRET = "a secret of more than thirty-two bytes"


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def public_pem(private_key: rsa.RSAPrivateKey) -> str:
    pem = private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem.decode()


def claims(**changed: Any) -> dict[str, Any]:
    whole = {"sub": "ann", "exp": int(time.time()) + 600, "scope": "read trade", **changed}
    return {name: value for name, value in whole.items() if value is not None}


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_token_of_each_algorithm_is_read(private_key: rsa.RSAPrivateKey, public_pem: str) -> None:
    tokens = AccessTokens(secret=SECRET, public_key=public_pem)
    assert tokens.algorithms == ("HS256", "RS256")
    for key, algorithm in ((SECRET, "HS256"), (private_key, "RS256")):
        client = tokens.read(jwt.encode(claims(), key, algorithm=algorithm))
        assert (client.name, client.scopes) == ("token:ann", {"read", "trade"})


@pytest.mark.parametrize(
    ("scope", "expected"),
    [("admin email", {"admin"}), (["read", 7], {"read"}), (None, set()), ("", set()), ({"read": 1}, set())],
)
def test_scopes_of_other_services_are_left_out(scope: object, expected: set[str]) -> None:
    assert AccessTokens(secret=SECRET).read(jwt.encode(claims(scope=scope), SECRET)).scopes == expected


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": 1},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"nbf": int(time.time()) + 3600},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 129},
        {"iss": "elsewhere"},
        {"iss": None},
        {"aud": "elsewhere"},
        {"aud": None},
    ],
)
def test_a_token_with_a_wrong_or_missing_claim_is_refused(changed: dict[str, Any]) -> None:
    tokens = AccessTokens(secret=SECRET, issuer="house", audience="alpharay")
    right = {"iss": "house", "aud": "alpharay"}
    assert tokens.read(jwt.encode(claims(**right), SECRET)).name == "token:ann"
    with pytest.raises(ValueError):
        tokens.read(jwt.encode(claims(**{**right, **changed}), SECRET))


def test_a_token_for_an_audience_is_refused_where_none_is_configured() -> None:
    with pytest.raises(ValueError, match="audience"):
        AccessTokens(secret=SECRET).read(jwt.encode(claims(aud="elsewhere"), SECRET))


def test_forged_tokens_are_refused(public_pem: str, private_key: rsa.RSAPrivateKey) -> None:
    import hashlib
    import hmac

    tokens = AccessTokens(public_key=public_pem)
    signed = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims())}"
    # The classic confusion: the public key, known to all, as the secret of HS256.
    mac = hmac.new(public_pem.encode(), signed.encode(), hashlib.sha256).digest()
    confused = f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    unsigned = f"{part({'alg': 'none'})}.{part(claims())}."
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    right = jwt.encode(claims(), private_key, algorithm="RS256")
    header, payload, signature = right.split(".")
    raised = f"{header}.{part(claims(scope='admin'))}.{signature}"
    forged = [
        confused,
        unsigned,
        raised,
        jwt.encode(claims(), other, algorithm="RS256"),
        f"{header}.{payload}.",
        "a.b.c",
    ]
    forged += ["", "..", "é.é.é", f"{part({'alg': ['RS256']})}.{payload}.{signature}", "x" * (MAX_CHARACTERS + 1)]
    for token in forged:
        with pytest.raises(ValueError):
            tokens.read(token)


def test_a_token_is_verified_once_and_again_when_it_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(access_tokens, "REMEMBERED_TOKENS", 2)
    tokens = AccessTokens(secret=SECRET, clock=lambda: now)
    made = [jwt.encode(claims(sub=f"s{n}", exp=int(now) + 60), SECRET) for n in range(3)]
    verified: list[str] = []
    decode = jwt.decode

    def watched(token: str, *rest: Any, **named: Any) -> dict[str, Any]:
        verified.append(token)
        return decode(token, *rest, **named)

    monkeypatch.setattr(jwt, "decode", watched)
    assert [tokens.read(made[0]).name for _ in range(3)] == ["token:s0"] * 3
    assert verified == [made[0]]
    now += 60 + LEEWAY_S
    tokens.read(made[0])
    assert verified == [made[0]] * 2
    now -= 60 + LEEWAY_S
    for one in (made[1], made[2], made[0]):
        tokens.read(one)
    # Two are remembered: the first had to make room.
    assert verified[2:] == [made[1], made[2], made[0]]


def test_a_short_secret_and_a_wrong_key_are_refused_at_the_start_and_not_shown() -> None:
    with pytest.raises(ValueError, match="32 bytes or more, had 5"):
        AccessTokens(secret="short")
    with pytest.raises(ValueError, match="PEM") as error:
        AccessTokens(public_key="no key at all")
    assert "no key at all" not in str(error.value)
