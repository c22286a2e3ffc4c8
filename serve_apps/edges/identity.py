"""Find out who sends a request."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Scope

from alpharay.signals.refusal import Refusal
from serve_apps.edges.access_tokens import AccessTokens
from serve_apps.edges.api_keys import ApiKeys
from serve_apps.edges.client import SCOPES, Client, address_client, client_address, header, is_loopback

_HOW = "send X-API-Key: KEY, or Authorization: Bearer TOKEN"


@dataclass(frozen=True, slots=True)
class Identity:
    """How clients are told apart; without keys and tokens, and where that is off, by their address alone."""

    keys: ApiKeys | None = None
    tokens: AccessTokens | None = None
    anyone: bool = False
    """Whether clients without a key are answered wherever they are; otherwise only those on this machine."""
    trusted_proxies: int = 0

    @property
    def required(self) -> bool:
        """Whether a request must bring a key or a token."""
        return self.keys is not None or self.tokens is not None

    def of(self, scope: Scope) -> tuple[Client, Refusal | None]:
        """Return the client, and why it is refused: then the client is the address, so that attempts are counted."""
        address = client_address(scope, self.trusted_proxies)
        if not self.required:
            if self.anyone or is_loopback(address):
                return address_client(address, SCOPES), None
            return address_client(address), _closed(address)
        key = header(scope, b"x-api-key")
        bearer = _bearer(header(scope, b"authorization"))
        if key is None and bearer is None:
            return address_client(address), _unauthenticated(
                "this needs an API key or an access token", field="Authorization"
            )
        if key is None and bearer is not None and bearer.count(".") == 2:
            return self._of_token(bearer, address)
        client = None if self.keys is None else self.keys.find(key or bearer or "")
        if client is None:
            field = "X-API-Key" if key is not None else "Authorization"
            return address_client(address), _unauthenticated("the API key is not known", field=field)
        return client, None

    def _of_token(self, token: str, address: str) -> tuple[Client, Refusal | None]:
        if self.tokens is None:
            return address_client(address), _unauthenticated("access tokens are not accepted", field="Authorization")
        try:
            return self.tokens.read(token), None
        except ValueError as error:
            return address_client(address), _unauthenticated(
                f"the access token is not valid: {error}", field="Authorization"
            )


def _bearer(value: str | None) -> str | None:
    scheme, _, credentials = (value or "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None


def _unauthenticated(message: str, *, field: str) -> Refusal:
    return Refusal(code="unauthenticated", message=message, field=field, hint=_HOW)


def _closed(address: str) -> Refusal:
    return Refusal(
        code="unauthenticated",
        message="no API keys are configured, so only clients on the service's own machine are answered",
        field="address",
        value=address[:100],
        hint="set ALPHARAY_API_KEYS_FILE at the service, or ALPHARAY_AUTHENTICATION=off in a closed network",
    )
