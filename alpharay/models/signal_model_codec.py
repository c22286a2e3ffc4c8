"""A signal model as bytes and back: one JSON document, with a checksum that is compared before a byte is believed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

import msgspec
import numpy as np

from alpharay.features.feature_set import FEATURE_SET
from alpharay.market.candles import VALUE_COLUMNS, Candles
from alpharay.models.boosted_trees import trees_of_xgboost
from alpharay.models.signal_model import ModelCard, SignalModel, SignalModelSettings

FORMAT = "alpharay-signal-model"
VERSION = 1

LARGEST_MODEL = 64 * 1024 * 1024
"""Bytes; more than that is no model that training here makes."""


class ModelBytesError(ValueError):
    """The bytes are not those of the model that was stored."""


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    format: str
    version: int
    card: dict[str, Any]
    booster: msgspec.Raw


def checksum_of(content: bytes) -> str:
    """Return the SHA-256 of a model's bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def model_to_bytes(model: SignalModel) -> bytes:
    """Return the model as one JSON document: format, card, and XGBoost's own JSON. The same model, the same bytes."""
    document = _Document(
        format=FORMAT, version=VERSION, card=msgspec.to_builtins(model.card), booster=msgspec.Raw(model.booster)
    )
    return msgspec.json.encode(document)


def model_of_bytes(content: bytes, checksum: str) -> SignalModel:
    """Return the model that `model_to_bytes` wrote.

    Raises ModelBytesError when the bytes do not have the checksum, or are not a model of this version.
    """
    if len(content) > LARGEST_MODEL:
        raise ModelBytesError(f"a model must have at most {LARGEST_MODEL} bytes, had {len(content)}")
    actual = checksum_of(content)
    if actual != checksum:
        raise ModelBytesError(
            f"checksum of the model's bytes must be {checksum[:64]}, was {actual}: they are damaged, "
            "import a back-up or train again"
        )
    document = _document(content)
    try:
        card = msgspec.convert(document.card, ModelCard)
        trees = trees_of_xgboost(bytes(document.booster))
    except ValueError as error:
        raise ModelBytesError(f"the model cannot be read: {error}: train again") from error
    if trees.features != len(card.feature_names):
        raise ModelBytesError(f"the trees must take {len(card.feature_names)} features, take {trees.features}")
    return SignalModel(card, bytes(document.booster), trees)


def _document(content: bytes) -> _Document:
    try:
        document = msgspec.json.decode(content, type=_Document)
    except msgspec.DecodeError as error:
        raise ModelBytesError(f"the bytes are no signal model: {error}: train again") from error
    if (document.format, document.version) != (FORMAT, VERSION):
        was = f"{document.format[:40]} {document.version}"
        raise ModelBytesError(f"a model must have the format {FORMAT} {VERSION}, was {was}: train again")
    return document


def training_id(candles: Candles, settings: SignalModelSettings) -> str:
    """Return the hash of all that decides a trained model: market, candles, settings, features, format.

    The same training again is known by it before it begins.
    """
    decides = [VERSION, FEATURE_SET, candles.exchange, candles.symbol, candles.timeframe, asdict(settings)]
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode())
    for name in ("open_time", *VALUE_COLUMNS):
        digest.update(np.ascontiguousarray(getattr(candles, name)).tobytes())
    return digest.hexdigest()
