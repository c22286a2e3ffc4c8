"""How every inner loop of the indicators is compiled."""

from __future__ import annotations

import llvmlite.binding
from numba import njit

# A loop over many lanes reads and writes a dozen arrays. The compiler makes vectors of it only if it may check at run
# time that none lies over another, and gives up at eight such checks unless told otherwise.
llvmlite.binding.set_option("alpharay", "--runtime-memory-check-threshold=128")

# No fastmath, so nothing is reordered, and a product is added without being rounded only where the code says so: the
# same bits on every processor. The "numpy" error model divides as IEEE 754 says instead of raising, which also lets
# LLVM vectorise a loop with a division in it.
kernel = njit(cache=True, error_model="numpy")
