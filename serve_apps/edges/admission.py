"""Who calls, how often, and may they: what is asked before any work is done."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from alpharay.signals.refusal import RefusedError, refuse
from serve_apps.edges.access_rules import AccessRules, route_path
from serve_apps.edges.call import call_of
from serve_apps.edges.identity import Identity
from serve_apps.edges.rate_limit import RateLimit, too_many

KNOWN_PATHS = 256


class Admission:
    """Lets a request through or raises RefusedError; attempts without a valid key count for their address."""

    def __init__(self, app: ASGIApp, rules: AccessRules, identity: Identity, rate_limit: RateLimit | None) -> None:
        self._app = app
        self._rules = rules
        self._identity = identity
        self._rate_limit = rate_limit
        self._needed: dict[tuple[str, str], str | None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = route_path(scope)
        needed = self._scope_needed(scope["method"], path)
        if needed is not None:
            await self._admit(scope, path, needed)
        await self._app(scope, receive, send)

    def _scope_needed(self, method: str, path: str) -> str | None:
        asked = (method, path)
        try:
            return self._needed[asked]
        except KeyError:
            needed = self._rules.scope_needed(method, path)
            # Whoever asks for paths that do not exist must not fill the memory.
            if len(self._needed) < KNOWN_PATHS:
                self._needed[asked] = needed
            return needed

    async def _admit(self, scope: Scope, path: str, needed: str) -> None:
        call = call_of(scope)
        call.client, refusal = self._identity.of(scope)
        if self._rate_limit is not None:
            allowance = await self._rate_limit.take(call.client.name)
            if allowance is not None:
                call.headers += allowance.headers()
                if allowance.remaining < 0:
                    raise too_many(allowance, self._rate_limit.window_s)
        if refusal is not None:
            if self._identity.required:
                call.headers.append((b"www-authenticate", b"Bearer"))
            raise RefusedError(refusal)
        if needed not in call.client.scopes:
            has = ", ".join(sorted(call.client.scopes)) or "none"
            raise refuse(
                "missing_scope",
                f"{scope['method']} {path[:100]} needs the scope {needed!r}; {call.client.name} has {has}",
                field="scope",
                value=needed,
                hint=f"call with a key or token that has {needed!r}",
            )
