"""Which request needs which scope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.types import Scope

from serve_apps.edges.client import READ, TRADE

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class AccessRule:
    """A path, whole or with `*` at its end, and the scope that it needs."""

    path: str
    scope: str
    methods: tuple[str, ...] = ()
    """The methods that it is about; empty for all."""

    def matches(self, method: str, path: str) -> bool:
        """Whether the rule is about a request."""
        return (not self.methods or method in self.methods) and path_matches(self.path, path)


@dataclass(frozen=True, slots=True)
class AccessRules:
    """An application's rules, the first that matches counts; without one, reading needs `read`, all else `trade`."""

    open_paths: tuple[str, ...] = ()
    """Paths for everyone, uncounted: a probe or a scrape has no key."""
    rules: Sequence[AccessRule] = ()

    def scope_needed(self, method: str, path: str) -> str | None:
        """Return the scope that a request needs; None when it needs none."""
        if any(path_matches(one, path) for one in self.open_paths):
            return None
        for rule in self.rules:
            if rule.matches(method, path):
                return rule.scope
        return READ if method in _SAFE_METHODS else TRADE


def path_matches(pattern: str, path: str) -> bool:
    """Whether a path is the pattern, or begins with what stands before its `*`."""
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern


def route_path(scope: Scope) -> str:
    """Return the path below the application's prefix, as Starlette's router sees it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root):
        below = path[len(root) :]
        if not below or below.startswith("/"):
            return below or "/"
    return path
