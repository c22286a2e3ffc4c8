"""A JSON body as a typed value, or why not: which field, and what it was."""

from __future__ import annotations

import json
import math
import re
from typing import Any, TypeVar

import msgspec

from alpharay.signals.refusal import RefusedError, as_json, refuse

Body = TypeVar("Body")

_UNKNOWN_FIELD = re.compile(r"unknown field `(?P<name>.*?)`(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_MISSING_FIELD = re.compile(r"required field `(?P<name>.*?)`(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_QUOTED = re.compile(r"(?<=Invalid enum value) .*", re.DOTALL)
_PATH = re.compile(r" - at `(?:key in )?\$\.?(?P<path>[^`]*)`$")


def decode_body(body: bytes, decoder: msgspec.json.Decoder[Body], example: str) -> Body:
    """Return the body as the decoder's type; raises RefusedError, with `example` as its hint."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _explained(body, error, f"send a body such as {example}") from None


def _explained(body: bytes, error: Exception, hint: str) -> RefusedError:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        readable = body[:200].decode("utf-8", "replace")
        return refuse("invalid_json", f"the body must be JSON: {error}", value=readable, hint=hint)
    if not isinstance(value, dict):
        return refuse("invalid_json", "the body must be a JSON object", value=value, hint=hint)
    # Python reads NaN and infinities, which are no JSON.
    odd = _not_finite(value)
    if odd is not None:
        path, number = odd[0][:100], odd[1]
        return refuse(
            "invalid_field", f"{path} must be a finite number, was {number}", field=path, value=str(number), hint=hint
        )
    text = str(error)
    for pattern, code, told in (
        (_UNKNOWN_FIELD, "unknown_field", "is unknown"),
        (_MISSING_FIELD, "missing_field", "is required"),
    ):
        found = pattern.search(text)
        if found is not None:
            path = ".".join(filter(None, (found["path"], found["name"])))[:100]
            return refuse(code, f"{path} {told}", field=path, value=_at(value, path), hint=hint)
    found = _PATH.search(text)
    if found is None:
        return refuse("invalid_json", f"the body must be JSON: {text}", value=value, hint=hint)
    path, was = found["path"], _at(value, found["path"])
    # The decoder's text may quote the whole value, of any length; ours shows it shortened.
    why = _QUOTED.sub("", _PATH.sub("", text))
    message = f"{path or 'the body'}: {why}, was {as_json(was)}"
    return refuse("invalid_field", message, field=path or None, value=was, hint=hint)


def _not_finite(whole: Any) -> tuple[str, float] | None:
    """Return a number that is not finite, with its path."""
    # A list of what is left to look at, not a recursion: a body may be nested deeper than Python's stack.
    left: list[tuple[str, Any]] = [("", whole)]
    while left:
        path, value = left.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return path, value
        if isinstance(value, dict):
            left += ((f"{path}.{name}" if path else str(name), inner) for name, inner in value.items())
        elif isinstance(value, list):
            left += ((f"{path}[{place}]", inner) for place, inner in enumerate(value))
    return None


def _at(value: Any, path: str) -> Any:
    """Return what stands at a path such as `state.positions`; of `[...]`, any element, the whole."""
    for name in path.removesuffix("[...]").split("."):
        if not isinstance(value, dict):
            return value
        if name:
            value = value.get(name)
    return value
