"""The edges of one application, made from the settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alpharay.settings import Settings
from serve_apps.edges.access_rules import AccessRule, AccessRules
from serve_apps.edges.access_tokens import AccessTokens
from serve_apps.edges.api_keys import ApiKeys
from serve_apps.edges.edge_metrics import EdgeMetrics
from serve_apps.edges.identity import Identity
from serve_apps.edges.rate_limit import RateLimit
from serve_apps.edges.request_blocks import RequestBlocks
from serve_apps.edges.request_windows import SharedWindows

WINDOW_S = 60.0
DEFAULT_REQUESTS_A_MINUTE = 100
"""The limit of the services that this platform replaces, for each client."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Who may call an application, how often, with how much, and how long an answer may take."""

    identity: Identity
    rules: AccessRules
    rate_limit: RateLimit | None
    max_bytes: int
    time_limit_s: float
    allowed_origins: tuple[str, ...]
    metrics: EdgeMetrics

    def status(self) -> dict[str, Any]:
        """Return what is on and what is degraded, for `/status`; no secret is in it."""
        identity, limit = self.identity, self.rate_limit
        notice = None
        if not identity.required:
            notice = (
                "authentication is off: "
                + ("anyone who reaches this address" if identity.anyone else "every program on this machine")
                + " may call everything; configure ALPHARAY_API_KEYS_FILE"
            )
        return {
            "authentication": {
                "required": identity.required,
                "api_keys": 0 if identity.keys is None else len(identity.keys),
                "token_algorithms": () if identity.tokens is None else identity.tokens.algorithms,
                "open_paths": self.rules.open_paths,
                "notice": notice,
            },
            "rate_limit": None
            if limit is None
            else {
                "requests_a_minute": limit.limit,
                "shared_between_replicas": limit.is_shared,
                "degraded": limit.degraded,
                "without_redis": limit.without_redis,
                "failures": limit.failures,
            },
            "max_bytes": self.max_bytes,
            "time_limit_seconds": self.time_limit_s,
            "allowed_origins": self.allowed_origins,
        }


def edges_of(current: Settings, application: str, rules: tuple[AccessRule, ...] = ()) -> Edges:
    """Return the edges of an application as the settings say; raises ValueError or OSError for a wrong one.

    The requests of a client are counted for each application on its own.
    """
    identity = _identity(current)
    rate_limit = _rate_limit(current, application, authenticated=identity.required)
    return Edges(
        identity=identity,
        rules=AccessRules(_listed(current.open_paths), rules),
        rate_limit=rate_limit,
        max_bytes=current.request_max_bytes,
        time_limit_s=current.request_time_limit_s,
        allowed_origins=_listed(current.allowed_origins),
        metrics=EdgeMetrics(application, rate_limit),
    )


def _identity(current: Settings) -> Identity:
    if current.authentication == "off":
        return Identity(anyone=True, trusted_proxies=current.trusted_proxies)
    text = "" if current.api_keys is None else current.api_keys.get_secret_value()
    file = None if current.api_keys_file is None else Path(current.api_keys_file)
    keys = ApiKeys(text, file) if text or file is not None else None
    secret = None if current.jwt_secret is None else current.jwt_secret.get_secret_value()
    if current.jwt_secret_file is not None:
        secret = Path(current.jwt_secret_file).read_text(encoding="utf-8").strip()
    public_key = None
    if current.jwt_public_key_file is not None:
        public_key = Path(current.jwt_public_key_file).read_text(encoding="utf-8")
    tokens = None
    if secret is not None or public_key is not None:
        tokens = AccessTokens(
            secret=secret, public_key=public_key, issuer=current.jwt_issuer, audience=current.jwt_audience
        )
    if current.authentication == "required" and keys is None and tokens is None:
        raise ValueError(
            "ALPHARAY_AUTHENTICATION is 'required' but there is nothing to check: set ALPHARAY_API_KEYS_FILE, "
            "ALPHARAY_API_KEYS, ALPHARAY_JWT_SECRET_FILE, ALPHARAY_JWT_SECRET or ALPHARAY_JWT_PUBLIC_KEY_FILE"
        )
    return Identity(keys, tokens, trusted_proxies=current.trusted_proxies)


def _rate_limit(current: Settings, application: str, *, authenticated: bool) -> RateLimit | None:
    limit = current.rate_limit_per_minute
    if limit is None:
        limit = DEFAULT_REQUESTS_A_MINUTE if authenticated else 0
    if limit == 0:
        return None
    url = None if current.redis_url is None else current.redis_url.get_secret_value()
    shared = None if url is None else RequestBlocks(SharedWindows(url, application, WINDOW_S), limit)
    return RateLimit(limit, WINDOW_S, shared, without_redis=current.rate_limit_without_redis)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in text.split(",") if one.strip())
