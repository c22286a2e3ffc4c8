"""How every inner loop of the indicators is compiled."""

from __future__ import annotations

from numba import njit

# No fastmath, so no fused multiply-add and no reordering: the same bits on every processor. The "numpy"
# error model divides as IEEE 754 says instead of raising, which also lets LLVM vectorise a loop with a
# division in it.
kernel = njit(cache=True, error_model="numpy")
