"""What a trade costs: fee on the traded value and slippage on the price, each side."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Costs:
    """`fee`: fraction of the traded value (0.001 = 10 basis points); `slippage`: fraction of the price. Each side."""

    fee: float = 0.001
    slippage: float = 0.0002

    def __post_init__(self) -> None:
        for name in ("fee", "slippage"):
            value = getattr(self, name)
            if not 0.0 <= value < 0.5:
                raise ValueError(f"{name} must be in [0, 0.5), was {value}")

    @property
    def entry_factor(self) -> float:
        """Units bought with one unit of cash at price one: (1 - fee) / (1 + slippage)."""
        return (1.0 - self.fee) / (1.0 + self.slippage)

    @property
    def exit_factor(self) -> float:
        """Cash received for one unit sold at price one: (1 - fee)(1 - slippage)."""
        return (1.0 - self.fee) * (1.0 - self.slippage)


NO_COSTS = Costs(fee=0.0, slippage=0.0)
