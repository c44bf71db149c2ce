"""Distances and nearest rows in native code, by the best instruction set the machine has.

Every function has a twin in plain float64 NumPy, in `oracle`, that says what it must return.
"""

from paradox.kernels.bounds import error_bound
from paradox.kernels.codes import N_TERMS, Codes, certified_top_k, code_width, encode, lower_bounds
from paradox.kernels.level import available, isa
from paradox.kernels.scan import distances, refine, row_norms, top_k

__all__ = [
    "N_TERMS",
    "Codes",
    "available",
    "certified_top_k",
    "code_width",
    "distances",
    "encode",
    "error_bound",
    "isa",
    "lower_bounds",
    "refine",
    "row_norms",
    "top_k",
]
