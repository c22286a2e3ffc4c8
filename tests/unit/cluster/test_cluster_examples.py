"""`cluster/examples` speaks of what is there: the tool's commands, the names that overlays ask a store for."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from cluster.deploy.command import app
from cluster.deploy.pod_templates import pod_templates
from cluster.deploy.secret_keys import secret_keys
from tests.unit.cluster.examples import ENVIRONMENTS, EXAMPLES, FILES, document, namespace_of
from tests.unit.cluster.rendered import CLUSTER, named, needs_kubectl, of_kind, render

REPOSITORY = CLUSTER.parent
STORES = ("vault.yaml", "aws-secrets-manager.yaml")
COMMANDS = typer.main.get_command(app)
TOOL = "python -m cluster.deploy "
VARIABLES = {"$OVERLAY": "cluster/overlays/prod", "$REVISION": "3"}
"""What a runner puts into the workflow's lines."""


def test_every_example_is_named_by_the_documents() -> None:
    text = (REPOSITORY / "docs/kubernetes.md").read_text()
    wanted = [path.relative_to(EXAMPLES) for path in FILES]
    assert len(wanted) == 6
    assert [path for path in wanted if f"`{path.parent if path.parent.name else path}`" not in text] == []


@pytest.mark.parametrize("path", [*FILES, REPOSITORY / "docs/operations.md"], ids=lambda path: path.name)
def test_every_command_of_the_tool_is_one_with_its_options(path: Path) -> None:
    text = path.read_text()
    for variable, value in VARIABLES.items():
        text = text.replace(f'"{variable}"', value)
    assert isinstance(COMMANDS, TyperGroup)
    for line in text.splitlines():
        if TOOL not in line or "COMMAND" in line:
            continue
        # Up to what ends it: a comment, code's end in a text, what the shell does with its status.
        said = re.split(r"`|  +|\||\)|;", line.partition(TOOL)[2])[0].strip()
        if not said:
            continue
        name, *words = shlex.split(said, comments=True)
        assert name in COMMANDS.commands, line
        COMMANDS.commands[name].make_context(name, words)


@needs_kubectl
@pytest.mark.parametrize("file", STORES)
def test_a_store_has_the_name_that_the_overlays_ask(file: str) -> None:
    store = document(file, "ClusterSecretStore")
    assert store["spec"]["conditions"] == [{"namespaces": [namespace_of(one) for one in ENVIRONMENTS]}]
    for environment in ENVIRONMENTS:
        for asked in of_kind(environment, "ExternalSecret"):
            assert asked["apiVersion"] == store["apiVersion"]
            assert asked["spec"]["secretStoreRef"] == {"kind": store["kind"], "name": store["metadata"]["name"]}


@needs_kubectl
def test_the_vault_is_told_every_value_that_a_pod_needs() -> None:
    text = (EXAMPLES / "vault.yaml").read_text()
    (command,) = re.findall(r"vault kv put secret/alpharay/prod (.*?)\(and", text, re.DOTALL)
    told = set(re.findall(r"([A-Z_]+)=", command))
    needed = secret_keys(pod_templates(list(render("prod"))))["alpharay"]
    assert needed <= told
    (token,) = named("prod", "ExternalSecret", "ray-token")["spec"]["data"]
    assert token["remoteRef"]["property"] in told
