"""Distances and nearest rows in native code, by the best instruction set the machine has.

Every function has a twin in plain float64 NumPy, in `oracle`, that says what it must return.
"""

from paradox.kernels.bounds import error_bound
from paradox.kernels.level import available, isa
from paradox.kernels.scan import distances, refine, row_norms, top_k

__all__ = ["available", "distances", "error_bound", "isa", "refine", "row_norms", "top_k"]
