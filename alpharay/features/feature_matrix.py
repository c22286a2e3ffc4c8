"""A market's features as a matrix: a row a candle, a column a feature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alpharay.features.coarse_frames import at_rows, coarse_candles, newest_closed
from alpharay.features.feature_set import FEATURE_NAMES, FEATURE_SET, FEATURES, FRAMES, HISTORY
from alpharay.market.candles import Candles, FloatArray, IntArray


@dataclass(frozen=True, slots=True, repr=False)
class Features:
    """Features at the close of each candle.

    Parameters
    ----------
    open_time : IntArray
        Of the candles, UTC ms.
    values : FloatArray
        Shape (candles, features); NaN where one is not known: while windows fill, or where a price is no number.
    names : tuple of str
    feature_set : str
        Hash of the definitions: `alpharay.features.feature_set.FEATURE_SET`.
    """

    open_time: IntArray
    values: FloatArray
    names: tuple[str, ...] = FEATURE_NAMES
    feature_set: str = FEATURE_SET

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.open_time), len(self.names)):
            raise ValueError(
                f"values must have the shape ({len(self.open_time)}, {len(self.names)}), was {self.values.shape}"
            )

    def __len__(self) -> int:
        return len(self.open_time)

    @property
    def complete(self) -> npt.NDArray[np.bool_]:
        """Tell for each row whether every feature is known."""
        return np.asarray(np.isfinite(self.values).all(axis=1), dtype=np.bool_)

    def row(self, place: int) -> dict[str, float]:
        """Return one row by name, for people to read."""
        return dict(zip(self.names, self.values[place].tolist(), strict=True))


def feature_matrix(candles: Candles) -> Features:
    """Return the features of every candle; those of candle t rest on candles up to t alone."""
    values = np.empty((len(candles), len(FEATURES)))
    # A price of zero has no return, and an infinite one no finite sum: such windows are NaN, which is told below.
    with np.errstate(all="ignore"):
        for frame in FRAMES:
            coarse = coarse_candles(candles, frame)
            rows = newest_closed(candles, coarse)
            for column, feature in enumerate(FEATURES):
                if feature.frame == frame:
                    values[:, column] = at_rows(feature.formula(coarse), rows)
    values[~np.isfinite(values)] = np.nan
    return Features(candles.open_time, values)


def latest_features(candles: Candles) -> Features:
    """Return the newest candle's features, one row (none without a candle): the bits of the matrix's last row.

    Only the last `HISTORY` candles are looked at; more change nothing.
    """
    recent = feature_matrix(candles.tail(HISTORY))
    return Features(recent.open_time[-1:], recent.values[-1:])
