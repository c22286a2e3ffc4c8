"""Which partitions of a topic one of several like consumers works on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PartitionShare:
    """Every `count`-th partition from `index` on; the shares of all indices cover every partition once."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f"index must be 0 to {self.count - 1}, the count of shares less one, was {self.index}")

    def covers(self, partition: int) -> bool:
        """Return whether the partition is this share's."""
        return partition % self.count == self.index


WHOLE = PartitionShare()
"""All partitions."""
