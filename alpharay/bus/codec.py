"""Messages to JSON bytes and back, telling what can never be read from what only newer code can read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

Message = TypeVar("Message", bound=msgspec.Struct)

_encoder = msgspec.json.Encoder()


class UndecodableError(ValueError):
    """The bytes are no message of the expected type and never will be; the text says why."""


class NewerVersionError(ValueError):
    """The message's version is newer than this code knows; an upgraded reader will understand it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The place in its batch of a message that can never be accepted, and why."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class DecodedBatch(Generic[Message]):
    """What a batch of values held, up to the first value of a newer version.

    `indexes[i]` is the place in the batch of `messages[i]`. `newer_at` is the place of the first value that
    this code is too old for (nothing from there on was decoded), or None.
    """

    messages: Sequence[Message]
    indexes: Sequence[int]
    refusals: Sequence[Refusal]
    newer_at: int | None = None


class _Versioned(msgspec.Struct):
    version: int = 1


def encode(message: msgspec.Struct) -> bytes:
    """Return the message as JSON, readable in any Kafka viewer."""
    return _encoder.encode(message)


class MessageDecoder(Generic[Message]):
    """Decodes one type of message.

    The newest version it knows is the default of the type's `version` field.
    """

    def __init__(self, message_type: type[Message]) -> None:
        self._one = msgspec.json.Decoder(message_type)
        self._many = msgspec.json.Decoder(list[message_type])  # type: ignore[valid-type]
        self._version = msgspec.json.Decoder(_Versioned)
        fields = {field.name: field for field in msgspec.structs.fields(message_type)}
        self.known_version: int = fields["version"].default

    def decode(self, value: bytes) -> Message:
        """Return the message in `value`; raises UndecodableError or NewerVersionError."""
        try:
            message = self._one.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._refuse_newer(value)
            raise UndecodableError(str(error)) from error
        if message.version > self.known_version:  # type: ignore[attr-defined]
            self._refuse_newer(value)
        return message

    def decode_batch(self, values: Sequence[bytes]) -> DecodedBatch[Message]:
        """Decode many values in one call, which costs half of decoding them singly while all are good."""
        try:
            messages: list[Message] = self._many.decode(b"[" + b",".join(values) + b"]")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._decode_singly(values)
        # A value such as `{…},{…}` would decode as two: the counts must agree for the places to be right.
        newest = max((message.version for message in messages), default=1)  # type: ignore[attr-defined]
        if len(messages) != len(values) or newest > self.known_version:
            return self._decode_singly(values)
        return DecodedBatch(messages, range(len(messages)), ())

    def _decode_singly(self, values: Sequence[bytes]) -> DecodedBatch[Message]:
        messages: list[Message] = []
        indexes: list[int] = []
        refusals: list[Refusal] = []
        for index, value in enumerate(values):
            try:
                messages.append(self.decode(value))
                indexes.append(index)
            except UndecodableError as error:
                refusals.append(Refusal(index, str(error)))
            except NewerVersionError:
                return DecodedBatch(messages, indexes, refusals, newer_at=index)
        return DecodedBatch(messages, indexes, refusals)

    def _refuse_newer(self, value: bytes) -> None:
        try:
            version = self._version.decode(value).version
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if version > self.known_version:
            raise NewerVersionError(f"version was {version}, this code knows up to {self.known_version}")
