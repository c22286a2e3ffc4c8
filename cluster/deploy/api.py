"""The API server's objects as plain mappings, read and written through the official Kubernetes client."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_after_delay, wait_exponential

from cluster.deploy.errors import DeployError

REQUEST_TIMEOUT_S = 30.0
PATIENCE_S = 30.0
# Too many requests; away, or not up yet.
_PASSING = frozenset({429, 500, 502, 503, 504})
Object = Mapping[str, Any]


class NotFoundError(DeployError):
    """There is no such object, or the cluster does not know its kind."""


class AwayError(DeployError):
    """The API server did not answer, or asks for patience."""


class Api:
    """Objects of one namespace; made by `connected`."""

    def __init__(self, client: Any, namespace: str) -> None:
        self._client = client
        self.namespace = namespace

    def read(self, api_version: str, kind: str, name: str) -> Object | None:
        """Return an object; None when there is none."""
        try:
            found: Object = self.ask("GET", path_of(api_version, kind, self.namespace, name))
        except NotFoundError:
            return None
        return found

    def items(self, api_version: str, kind: str, *, labels: str = "", fields: str = "") -> list[Object]:
        """Return all objects of a kind, chosen by labels or fields; none when the cluster does not know the kind."""
        chosen = [(name, value) for name, value in (("labelSelector", labels), ("fieldSelector", fields)) if value]
        try:
            found = self.ask("GET", path_of(api_version, kind, self.namespace), query=chosen)
        except NotFoundError:
            return []
        return [{"apiVersion": api_version, "kind": kind, **item} for item in found["items"]]

    def create(self, manifest: Object) -> Object:
        """Create an object."""
        path = path_of(manifest["apiVersion"], manifest["kind"], self.namespace)
        found: Object = self.ask("POST", path, body=manifest)
        return found

    def merge(self, api_version: str, kind: str, name: str, patch: Object) -> Object:
        """Change the fields that `patch` names."""
        path = path_of(api_version, kind, self.namespace, name)
        found: Object = self.ask("PATCH", path, body=patch, content_type="application/merge-patch+json")
        return found

    def delete(self, api_version: str, kind: str, name: str) -> None:
        """Delete an object, what it owns in the background; one that is gone already is no error."""
        try:
            self.ask(
                "DELETE",
                path_of(api_version, kind, self.namespace, name),
                query=[("propagationPolicy", "Background")],
            )
        except NotFoundError:
            return

    def log(self, pod: str, container: str, *, lines: int = 12, previous: bool = False) -> list[str]:
        """Return the last lines that a container has written, or the one before it; none when it wrote nothing."""
        query = [("container", container), ("tailLines", str(lines)), ("previous", str(previous).lower())]
        try:
            text = self.ask("GET", f"{path_of('v1', 'Pod', self.namespace, pod)}/log", query=query)
        except DeployError:
            return []
        return str(text).splitlines()

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """Return the server's answer: JSON as values, else text. Raises DeployError with the server's words.

        A question is asked again for `PATIENCE_S` while the server is away; a change is not, it may have been made.
        """
        tries = stop_after_delay(PATIENCE_S) if method == "GET" else stop_after_attempt(1)
        answer: Any = Retrying(
            retry=retry_if_exception_type(AwayError),
            stop=tries,
            wait=wait_exponential(multiplier=0.5, max=8.0),
            reraise=True,
        )(self._ask, method, path, query, body, content_type)
        return answer

    def _ask(
        self, method: str, path: str, query: Sequence[tuple[str, str]], body: Object | None, content_type: str
    ) -> Any:
        from urllib3.exceptions import HTTPError

        headers = {"Accept": "application/json, */*", **({} if body is None else {"Content-Type": content_type})}
        request = self._client.param_serialize(
            method=method,
            resource_path=path,
            query_params=list(query),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            response = self._client.call_api(*request, _request_timeout=REQUEST_TIMEOUT_S)
            response.read()
        except HTTPError as error:
            raise AwayError(
                f"the API server does not answer: {str(error)[:200]}", next_steps=("kubectl cluster-info",)
            ) from error
        return _answer(method, path, response.status, response.data)


@contextmanager
def connected(namespace: str, context: str | None = None) -> Iterator[Api]:
    """Connect as kubectl would (KUBECONFIG, ~/.kube/config), or as the pod that this runs in."""
    from kubernetes import client, config

    settings = client.Configuration()
    try:
        config.load_kube_config(context=context, client_configuration=settings)  # type: ignore[no-untyped-call]
    except config.ConfigException as error:
        try:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            raise DeployError(f"no cluster is configured: {error}; set KUBECONFIG, or name a --context") from error
    # urllib3 would try a server that is away three times, without a pause.
    settings.retries = False
    with client.ApiClient(settings) as api:
        yield Api(api, namespace)


def path_of(api_version: str, kind: str, namespace: str | None, name: str | None = None) -> str:
    """Return where an object, or all of its kind, is found on the API server."""
    parts = ["api" if "/" not in api_version else "apis", api_version]
    if namespace is not None and kind not in _OF_NO_NAMESPACE:
        parts += ["namespaces", namespace]
    parts.append(plural(kind))
    if name is not None:
        parts.append(quote(name, safe=""))
    return "/" + "/".join(parts)


def plural(kind: str) -> str:
    """Return a kind's name in paths: NetworkPolicy is networkpolicies."""
    word = kind.lower()
    if word.endswith("y") and word[-2] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "ss")) else f"{word}s"


_OF_NO_NAMESPACE = frozenset(
    {
        "Namespace",
        "Node",
        "StorageClass",
        "PriorityClass",
        "CustomResourceDefinition",
        "ClusterRole",
        "ClusterRoleBinding",
        "GatewayClass",
    }
)


def _answer(method: str, path: str, status: int, data: bytes) -> Any:
    text = data.decode(errors="replace")
    try:
        answer = json.loads(text)
    except ValueError:
        answer = text
    if status < 400:
        return answer
    message = answer.get("message", "") if isinstance(answer, dict) else text[:200]
    if status == 404:
        raise NotFoundError(f"{method} {path}: {message or 'not found'}")
    refused = AwayError if status in _PASSING else DeployError
    raise refused(f"{method} {path}: {status}: {message}")
