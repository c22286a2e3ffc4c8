"""A rate of requests over time, and when each request is due."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

MOST_REQUESTS = 2_000_000
MOST_A_SECOND = 10_000.0
MOST_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Ramp:
    """A rate of requests a second that goes evenly from `begin` to `end`; constant where they are equal."""

    begin: float
    end: float
    seconds: float

    def __post_init__(self) -> None:
        for name, value in (("begin", self.begin), ("end", self.end)):
            # Written so that NaN is refused too.
            if not 0.0 <= value <= MOST_A_SECOND:
                raise ValueError(f"{name} must be a rate of 0 to {MOST_A_SECOND:,.0f} requests a second, was {value}")
        if not 0.0 < self.seconds <= MOST_SECONDS:
            raise ValueError(f"seconds must be above 0 and at most {MOST_SECONDS:,.0f}, was {self.seconds}")
        if self.requests > MOST_REQUESTS:
            raise ValueError(f"a load has at most {MOST_REQUESTS:,} requests, was {self.requests:,}")

    @property
    def requests(self) -> int:
        """How many requests it has."""
        return math.floor((self.begin + self.end) / 2.0 * self.seconds)

    def times(self) -> Iterator[float]:
        """Yield when each request is due, in seconds: where the integral of the rate is a whole number."""
        slope = (self.end - self.begin) / self.seconds
        for number in range(self.requests):
            # 2n / (b + sqrt(b^2 + 2sn)): the quadratic's root in the form that is exact for no slope too.
            root = math.sqrt(max(0.0, self.begin * self.begin + 2.0 * slope * number))
            yield 2.0 * number / (self.begin + root) if number else 0.0
