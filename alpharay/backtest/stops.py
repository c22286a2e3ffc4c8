"""Stops of a position: fractions of a price, or a multiple of the average true range."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AtrTrail:
    """A trailing stop `multiple` average true ranges (of `length` bars) from each bar's extreme (Wilder 1978)."""

    length: int = 14
    multiple: float = 3.0

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f"length of the ATR trail must be at least 1, was {self.length}")
        if not self.multiple > 0.0:
            raise ValueError(f"multiple of the ATR trail must be above 0, was {self.multiple}")


@dataclass(frozen=True, slots=True)
class Stops:
    """`stop_loss`, `take_profit` from the entry's open; `trailing_stop` from the best price so far; None is off.

    `atr_trail` starts one distance from the entry's open and only ever tightens: after each bar to that bar's high
    (low, for a short) less (plus) the distance there.
    """

    stop_loss: float | None = None
    take_profit: float | None = None
    trailing_stop: float | None = None
    atr_trail: AtrTrail | None = None

    def __post_init__(self) -> None:
        for name in ("stop_loss", "take_profit", "trailing_stop"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < 1.0:
                raise ValueError(f"{name} must be in (0, 1), was {value}")


NO_STOPS = Stops()
