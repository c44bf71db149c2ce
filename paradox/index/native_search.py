"""The search of a native structure, which measures and orders what it finds itself."""

from __future__ import annotations

import numpy as np

from paradox.core.types import F32Matrix, Neighbors
from paradox.index.allow import AllowedRows
from paradox.index.rows import Rows
from paradox.index.rows_view import RowsView
from paradox.kernels.graph import GraphView
from paradox.kernels.ivf import Ivf


def nearest_rows(
    structure: GraphView | Ivf,
    rows: Rows | RowsView,
    queries: F32Matrix,
    k: int,
    effort: int,
    allowed: AllowedRows | None,
    threads: int,
) -> tuple[Neighbors, bool]:
    """Return the k nearest rows it leads to, and whether there are fewer than there could be."""
    ids, distances, has_gaps = structure.search(
        np.ascontiguousarray(queries),
        k,
        effort,
        None if allowed is None else allowed.mask.view(np.uint8),
        len(rows) if allowed is None else len(allowed),
        threads,
    )
    return Neighbors(ids, distances, effort=effort), has_gaps
