"""Signal models in files: back-up and restore, and from one installation to another.

The checksum travels with the bytes and is compared before they are stored. Whether a model was promoted is read from
the bytes, not from the file around them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.models.signal_model import SignalModel
from alpharay.models.signal_model_codec import model_of_bytes
from alpharay.store.model_registry import (
    ACTIVE,
    StoredModel,
    activate_model,
    find_model,
    model_content,
    store_model,
    stored_models,
)

FORMAT = "alpharay-signal-models"
VERSION = 1

MOST_MODELS = 10_000


class ExportedModel(msgspec.Struct, frozen=True, kw_only=True):
    """One model in a file; its bytes are Base64 there."""

    model_id: str
    status: str
    """What it was when it was exported."""
    created_at: datetime
    checksum: str
    model: bytes


class _File(msgspec.Struct, frozen=True, kw_only=True):
    format: str
    version: int
    models: list[ExportedModel]


@dataclass(frozen=True, slots=True)
class ImportedModels:
    """The ids of an import's models."""

    new: tuple[str, ...]
    known: tuple[str, ...]
    """Stored before with the same bytes."""
    repaired: tuple[str, ...]
    """Stored before, with bytes that were damaged since; they are whole again."""
    activated: tuple[str, ...]


def chosen_models(
    connection: Connection[TupleRow], beginnings: Sequence[str] = (), statuses: Collection[str] = ()
) -> list[StoredModel]:
    """Return the models whose ids begin so, or that have these statuses, or all.

    Raises LookupError when a beginning is nobody's or of several.
    """
    if beginnings:
        return [find_model(connection, beginning) for beginning in beginnings]
    return stored_models(connection, statuses=statuses or None, limit=MOST_MODELS)


def models_file(connection: Connection[TupleRow], chosen: Sequence[StoredModel]) -> bytes:
    """Return the models as the content of a JSON file; raises ValueError for one whose stored bytes are damaged."""
    models = []
    for stored in chosen:
        content = model_content(connection, stored.model_id)
        # A back-up of damaged bytes is none: better to know it now.
        model_of_bytes(content, stored.checksum)
        models.append(
            ExportedModel(
                model_id=stored.model_id,
                status=stored.status,
                created_at=stored.created_at,
                checksum=stored.checksum,
                model=content,
            )
        )
    return msgspec.json.encode(_File(format=FORMAT, version=VERSION, models=models)) + b"\n"


def models_of_file(content: bytes) -> list[tuple[ExportedModel, SignalModel]]:
    """Return the models in a file's content, each read and checked; raises ValueError naming the one that is wrong."""
    try:
        file = msgspec.json.decode(content, type=_File)
    except msgspec.DecodeError as error:
        raise ValueError(f"the file must be JSON as `alpharay models export` writes it: {error}") from error
    if (file.format, file.version) != (FORMAT, VERSION):
        was = f"{file.format[:40]} {file.version}"
        raise ValueError(f"the file must have the format {FORMAT} {VERSION}, was {was}: update AlphaRay")
    models = []
    for place, item in enumerate(file.models, 1):
        try:
            models.append((item, model_of_bytes(item.model, item.checksum)))
        except ValueError as error:
            raise ValueError(f"model {place} of the file ({item.model_id[:12]}): {error}") from error
    return models


def import_models(
    connection: Connection[TupleRow], models: Sequence[tuple[ExportedModel, SignalModel]], *, activate: bool = False
) -> ImportedModels:
    """Store the models that are not stored yet and repair those that are damaged, in the connection's transaction.

    With `activate`, those that were active when they were exported speak again. Raises ValueError when another model is
    stored under one's id.
    """
    new: list[str] = []
    known: list[str] = []
    repaired: list[str] = []
    activated: list[str] = []
    for item, model in models:
        if store_model(connection, item.model_id, model):
            new.append(item.model_id)
            continue
        stored = find_model(connection, item.model_id)
        if stored.checksum != item.checksum:
            raise ValueError(
                f"checksum of model {item.model_id[:12]} must be {stored.checksum[:12]} as stored here, was "
                f"{item.checksum[:12]}: it was trained with another version of XGBoost"
            )
        (repaired if _repair(connection, item) else known).append(item.model_id)
    if activate:
        activated = [
            item.model_id for item, _ in models if item.status == ACTIVE and activate_model(connection, item.model_id)
        ]
    return ImportedModels(tuple(new), tuple(known), tuple(repaired), tuple(activated))


def _repair(connection: Connection[TupleRow], item: ExportedModel) -> bool:
    repaired = connection.execute(
        "UPDATE signal_models SET model = %s WHERE model_id = %s AND model <> %s",
        (item.model, item.model_id, item.model),
    )
    return repaired.rowcount == 1
