"""Access tokens: JSON Web Tokens (RFC 7519, RFC 9068) signed with a shared secret or a private key."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import jwt

from serve_apps.edges.client import SCOPES, Client

LEEWAY_S = 30
MAX_CHARACTERS = 8192
MIN_SECRET_BYTES = 32
REMEMBERED_TOKENS = 4096


class AccessTokens:
    """Verifies tokens; each algorithm has its own key, so that no token can choose how it is verified."""

    def __init__(
        self,
        *,
        secret: str | None = None,
        public_key: str | None = None,
        issuer: str | None = None,
        audience: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys: dict[str, Any] = {}
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        # To verify a token costs more than to answer: what was valid stays so until it expires. By digest, no token.
        self._verified: OrderedDict[bytes, tuple[float, Client]] = OrderedDict()
        if secret is not None:
            size = len(secret.encode())
            if size < MIN_SECRET_BYTES:
                raise ValueError(f"the secret of HS256 must have {MIN_SECRET_BYTES} bytes or more, had {size}")
            self._keys["HS256"] = secret.encode()
        if public_key is not None:
            try:
                self._keys["RS256"] = jwt.get_algorithm_by_name("RS256").prepare_key(public_key)
            except (ValueError, TypeError, jwt.PyJWTError):
                raise ValueError("the public key of RS256 must be a PEM file with an RSA key") from None

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The algorithms that are accepted."""
        return tuple(self._keys)

    def read(self, token: str) -> Client:
        """Return the client of a token; raises ValueError, saying why, when it is not valid."""
        if len(token) > MAX_CHARACTERS:
            raise ValueError(f"a token may have {MAX_CHARACTERS} characters")
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        ends_at, client = self._verified.get(digest, (0.0, None))
        if client is not None and self._clock() < ends_at:
            return client
        claims = self._claims(token)
        subject = str(claims["sub"])
        if not 0 < len(subject) <= 128:
            raise ValueError("the token's sub must have 1 to 128 characters")
        client = Client(f"token:{subject}", _scopes(claims.get("scope")))
        self._verified[digest] = (float(claims["exp"]) + LEEWAY_S, client)
        if len(self._verified) > REMEMBERED_TOKENS:
            self._verified.popitem(last=False)
        return client

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            algorithm = jwt.get_unverified_header(token).get("alg")
            if not isinstance(algorithm, str) or algorithm not in self._keys:
                raise ValueError(f"a token must be signed with {' or '.join(self._keys)}")
            return jwt.decode(
                token,
                self._keys[algorithm],
                algorithms=[algorithm],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_S,
                options={"require": ["exp", "sub"]},
            )
        except (jwt.InvalidTokenError, OverflowError) as error:
            # PyJWT's own words name the claim, never the token.
            raise ValueError(str(error)[:200]) from None


def _scopes(claim: object) -> frozenset[str]:
    """Return the scopes of the claim `scope` (RFC 8693: separated by spaces); those of other services are left out."""
    told = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
    return frozenset(one for one in told if one in SCOPES)
