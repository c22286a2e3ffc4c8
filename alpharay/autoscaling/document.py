"""Reading documents field by field: every error names the field's whole path and its value."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from typing import TypeVar

from alpharay.autoscaling.machine_numbers import MAX_INT32
from alpharay.autoscaling.quantity import parse_quantity

Choice = TypeVar("Choice", bound=str)


class AutoscalerDocumentError(ValueError):
    """A document that is no usable autoscaler; the message names the field and its value."""


class Section:
    """A mapping of a document and the path to it; fields that it does not know are refused."""

    def __init__(self, value: object, path: str, fields: Collection[str]) -> None:
        if not isinstance(value, Mapping):
            raise AutoscalerDocumentError(f"{path} must be a mapping, was {value!r}")
        unknown = [str(name) for name in value if name not in fields]
        if unknown:
            raise AutoscalerDocumentError(
                f"{path}.{unknown[0]} is not known here; known are {', '.join(sorted(fields))}"
            )
        self._values = value
        self._path = path

    def path(self, name: str) -> str:
        """Return the whole path of a field."""
        return f"{self._path}.{name}"

    def has(self, name: str) -> bool:
        """Return whether the field is written and not null."""
        return self._values.get(name) is not None

    def refuse(self, name: str, rule: str) -> AutoscalerDocumentError:
        """Return the error that a field breaks a rule."""
        return AutoscalerDocumentError(f"{self.path(name)} {rule}, was {self._values.get(name)!r}")

    def section(self, name: str, fields: Collection[str]) -> Section:
        """Return a mapping under this one; raises AutoscalerDocumentError when it is not there."""
        if not self.has(name):
            raise AutoscalerDocumentError(f"{self.path(name)} is missing")
        return Section(self._values[name], self.path(name), fields)

    def sections(self, name: str, fields: Collection[str]) -> list[Section]:
        """Return a list of mappings, empty when it is not written."""
        values = self._values.get(name)
        if values is None:
            return []
        if not isinstance(values, list):
            raise self.refuse(name, "must be a list")
        return [Section(value, f"{self.path(name)}[{index}]", fields) for index, value in enumerate(values)]

    def integer(self, name: str, *, minimum: int, maximum: int = MAX_INT32, otherwise: int | None = None) -> int:
        """Return a whole number within its bounds; `otherwise` stands for one that is not written."""
        value = self._values.get(name, otherwise)
        if value is None:
            if otherwise is not None:
                return otherwise
            raise AutoscalerDocumentError(f"{self.path(name)} is missing")
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
            bound = f"of at least {minimum}" if maximum == MAX_INT32 else f"from {minimum} to {maximum}"
            raise self.refuse(name, f"must be a whole number {bound}")
        return value

    def boolean(self, name: str, *, otherwise: bool) -> bool:
        """Return true or false; `otherwise` stands for what is not written."""
        value = self._values.get(name, otherwise)
        if not isinstance(value, bool):
            raise self.refuse(name, "must be true or false")
        return value

    def text(self, name: str, *, otherwise: str | None = None) -> str:
        """Return a text that is not empty; `otherwise` stands for one that is not written."""
        value = self._values.get(name)
        if value is None and otherwise is not None:
            return otherwise
        if not isinstance(value, str) or not value:
            raise self.refuse(name, "must be a text")
        return value

    def choice(self, name: str, choices: Sequence[Choice], *, otherwise: Choice | None = None) -> Choice:
        """Return one of the words that are allowed here."""
        value = self._values.get(name)
        if value is None and otherwise is not None:
            return otherwise
        for choice in choices:
            if value == choice:
                return choice
        raise self.refuse(name, f"must be one of {', '.join(choices)}")

    def quantity(self, name: str, *, positive: bool) -> Fraction:
        """Return a quantity above zero, or at least zero."""
        value = self._values[name]
        try:
            quantity = parse_quantity(value)
        except ValueError as error:
            raise AutoscalerDocumentError(f"{self.path(name)}: {error}") from error
        if quantity < 0 or (positive and quantity == 0):
            raise self.refuse(name, "must be above zero" if positive else "must not be below zero")
        return quantity

    def texts(self, name: str) -> list[str]:
        """Return a list of texts, empty when it is not written."""
        values = self._values.get(name)
        if values is None:
            return []
        if not isinstance(values, list):
            raise self.refuse(name, "must be a list of texts")
        texts = [value for value in values if isinstance(value, str)]
        if len(texts) < len(values):
            raise self.refuse(name, "must be a list of texts")
        return texts

    def mapping(self, name: str) -> Mapping[str, object]:
        """Return a mapping as it stands, empty when it is not written."""
        value = self._values.get(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise self.refuse(name, "must be a mapping")
        return value
