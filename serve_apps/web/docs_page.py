"""The API's page: made from its OpenAPI document, with nothing loaded from elsewhere, so that it works offline."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
section { border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-radius: .5rem;
  padding: .5rem 1rem; margin: 1rem 0 }
h2 { font-size: 1.1rem } h2 b { display: inline-block; min-width: 4rem }
pre, textarea { font: .875rem/1.5 ui-monospace, monospace; overflow: auto; white-space: pre-wrap; width: 100%;
  box-sizing: border-box }
table { border-collapse: collapse; width: 100% } td { padding: .15rem .5rem .15rem 0; vertical-align: top }
"""

_SCRIPT = """
for (const form of document.forms) form.onsubmit = async event => {
  event.preventDefault();
  const output = form.querySelector("pre"), body = form.querySelector("textarea");
  const headers = {}, key = document.getElementById("key").value;
  if (key) headers["X-API-Key"] = key;
  if (body) headers["Content-Type"] = "application/json";
  output.textContent = "…";
  try {
    const answer = await fetch(form.dataset.path.slice(1), body
      ? {method: "POST", headers, body: body.value}
      : {method: form.dataset.method, headers});
    const text = await answer.text();
    let shown = text;
    try { shown = JSON.stringify(JSON.parse(text), null, 2) } catch {}
    output.textContent = answer.status + " " + answer.statusText + "\\n" + shown;
  } catch (error) { output.textContent = String(error) }
};
"""


def _sha256(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


PAGE_POLICY = (
    f"default-src 'none'; style-src {_sha256(_STYLE)}; script-src {_sha256(_SCRIPT)}; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy: its own style and script, requests to its own service, nothing else."""


def docs_page(document: Mapping[str, Any]) -> str:
    """Return the page for an OpenAPI document: every operation with its fields, answers and a form to try it."""
    info = document["info"]
    sections = "".join(
        _section(document, path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info.get('description', ''))}</p>"
        f'<p><a href="openapi.json">openapi.json</a> · <label>API key, where the service asks for one: '
        f'<input id="key" type="password" autocomplete="off"></label></p>{sections}<script>{_SCRIPT}</script></html>'
    )


def _section(document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    answers = "".join(
        f"<tr><td>{escape(status)}</td><td>{escape(answer['description'])}</td></tr>"
        for status, answer in operation["responses"].items()
    )
    example = ""
    if body:
        text = json.dumps(body.get("example", {}))
        example = f'<textarea rows="2" aria-label="body">{escape(text)}</textarea>'
    return (
        f"<section><h2><b>{method.upper()}</b> <code>{escape(path)}</code></h2>"
        f"<p>{escape(operation.get('summary', ''))}</p><table>{''.join(_fields(document, body))}</table>"
        f'<form data-path="{escape(path)}" data-method="{method.upper()}">{example}'
        f"<button>Send</button><pre></pre></form>"
        f"<details><summary>Answers</summary><table>{answers}</table></details></section>"
    )


def _fields(document: Mapping[str, Any], body: Mapping[str, Any]) -> Iterator[str]:
    reference = body.get("schema", {}).get("$ref", "")
    schema = document.get("components", {}).get("schemas", {}).get(reference.rpartition("/")[2], {})
    for name, field in schema.get("properties", {}).items():
        meaning = _first(field, "description")
        need = "required" if name in schema.get("required", ()) else "optional"
        yield (
            f"<tr><td><code>{escape(name)}</code></td><td>{escape(str(_first(field, 'type')))}, {need}</td>"
            f"<td>{escape(meaning)}</td></tr>"
        )


def _first(field: Mapping[str, Any], name: str) -> str:
    """Return a property of a field, or of the first of its alternatives that has it."""
    for schema in (field, *field.get("anyOf", ())):
        if name in schema:
            return str(schema[name])
    return ""
