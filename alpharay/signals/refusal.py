"""Why a request is not answered, in one shape."""

from __future__ import annotations

import json

import msgspec


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong, with which value of which field, and what to do."""

    code: str
    """A stable name for programs, such as `unknown_symbol`."""
    message: str
    field: str | None = None
    value: str | None = None
    """The refused value as the client wrote it, shortened."""
    hint: str | None = None
    retry_after_s: int | None = None
    """When trying again may help; None when it does not."""


class RefusedError(Exception):
    """A request cannot be answered; `refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def refuse(
    code: str,
    message: str,
    *,
    field: str | None = None,
    value: object = None,
    hint: str | None = None,
    retry_after_s: int | None = None,
) -> RefusedError:
    """Return the error to raise; `value` and `field` are shown in at most 100 characters, `message` in 1,000."""
    shown = None if value is None else value if isinstance(value, str) else as_json(value)
    return RefusedError(
        Refusal(
            code=code,
            message=_shortened(message, 1_000),
            field=None if field is None else _shortened(field),
            value=None if shown is None else _shortened(shown),
            hint=hint,
            retry_after_s=retry_after_s,
        )
    )


def as_json(value: object) -> str:
    """Return a value as the client wrote it, shortened to 100 characters."""
    return _shortened(json.dumps(value, ensure_ascii=False, default=str))


def _shortened(text: str, longest: int = 100) -> str:
    text = _writable(text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _writable(text: str) -> str:
    """Show half a surrogate pair, which JSON may escape but no encoding can write, as its escape."""
    return text.encode("utf-8", "backslashreplace").decode()
