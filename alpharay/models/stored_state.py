"""A model's state as JSON and back: what a calibration stores and a replica forecasts from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin

import msgspec
import numpy as np

State = TypeVar("State")

VERSION = 1
"""Raised when a stored state of the same kind would mean something else."""


def state_to_json(state: object) -> dict[str, Any]:
    """Return a model's frozen state as JSON values, with its kind and version; numbers come back bit for bit."""
    fields: dict[str, Any] = msgspec.to_builtins(state, enc_hook=_to_list)
    return {"kind": type(state).__name__, "version": VERSION, "state": fields}


def state_from_json(json: Mapping[str, Any], kind: type[State]) -> State:
    """Return the state of `kind` that `state_to_json` wrote; raises ValueError when it is another or does not fit."""
    for name, wanted in (("kind", kind.__name__), ("version", VERSION)):
        if json.get(name) != wanted:
            raise ValueError(f"{name} of a stored state must be {wanted}, was {json.get(name)!r}: calibrate again")
    try:
        return msgspec.convert(json.get("state"), kind, dec_hook=_to_array)
    except (msgspec.ValidationError, TypeError) as error:
        raise ValueError(f"a stored {kind.__name__} does not fit: {error}: calibrate again") from error


def _to_list(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise NotImplementedError(f"a stored state holds numbers, texts and arrays, was {type(value)}")


def _to_array(kind: type, value: object) -> object:
    """Return a list of numbers as an array of the field's own type: JSON may have made integers of whole floats."""
    if get_origin(kind) is not np.ndarray:
        raise NotImplementedError(f"a stored state holds numbers, texts and arrays, was {kind}")
    return np.asarray(value, dtype=get_args(get_args(kind)[1])[0])
