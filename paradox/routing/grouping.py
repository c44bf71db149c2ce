"""Cells grouped into shards: neighbouring cells together, shards of like weight.

Recursive bisection across the widest direction gives compact groups of equal weight; moving
border cells then lowers the affinity that the groups cut, as Fiduccia and Mattheyses (1982) do for
graphs, while no group leaves the tolerance.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from paradox.core.types import F32Matrix, F64Matrix, F64Vector, I64Vector

_TOLERANCE = 0.05  # of the mean weight; leaves half of the 10 % promised for records not sampled
_LEAST_GAIN = 1e-9  # of a move, above what rounding makes up
_SWEEPS = 20  # at most; ten were enough for 2,500 cells


def group_cells(
    centroids: F32Matrix, weights: I64Vector, affinity: F64Matrix, n_groups: int
) -> npt.NDArray[np.int32]:
    """Return the group of each cell, (c,) int32.

    Args:
        centroids: (c, dim) float32.
        weights: (c,) int64, records of each cell.
        affinity: (c, c) float64, symmetric: how often a pair of cells shares an answer.
        n_groups: 1 or more; with fewer cells some groups stay empty.
    """
    groups = np.zeros(len(centroids), np.int32)
    _bisect(centroids.astype(np.float64), weights, np.arange(len(centroids)), 0, n_groups, groups)
    if n_groups > 1:
        _refine(groups, weights, affinity, n_groups)
    return groups


def _bisect(
    centroids: F64Matrix,
    weights: I64Vector,
    cells: npt.NDArray[np.int64],
    first: int,
    n_groups: int,
    groups: npt.NDArray[np.int32],
) -> None:
    """Spread `cells` over the groups `first` to `first + n_groups`."""
    if n_groups == 1 or len(cells) == 0:
        groups[cells] = first
        return
    left = n_groups // 2
    mass = weights[cells].astype(np.float64)
    offsets = centroids[cells] - np.average(centroids[cells], axis=0, weights=mass)
    _, _, axes = np.linalg.svd(offsets * np.sqrt(mass)[:, np.newaxis], full_matrices=False)
    direction = axes[0] * np.sign(axes[0][np.abs(axes[0]).argmax()])
    order = np.argsort(offsets @ direction, kind="stable")
    middles = np.cumsum(mass[order]) - mass[order] / 2
    cut = int(np.searchsorted(middles, mass.sum() * left / n_groups))
    _bisect(centroids, weights, cells[order[:cut]], first, left, groups)
    _bisect(centroids, weights, cells[order[cut:]], first + left, n_groups - left, groups)


def _refine(
    groups: npt.NDArray[np.int32], weights: I64Vector, affinity: F64Matrix, n_groups: int
) -> None:
    """Move cells, one at a time, while it lowers the cut or mends the balance."""
    mean = weights.sum() / n_groups
    loads: F64Vector = np.bincount(groups, weights, n_groups).astype(np.float64)
    ties = affinity @ np.eye(n_groups)[groups]  # (c, n_groups): affinity of a cell to each group
    for _ in range(_SWEEPS):
        own = ties[np.arange(len(groups)), groups]
        keenest_first = np.argsort(own - ties.max(axis=1), kind="stable")
        moved = False
        for cell in keenest_first.tolist():
            source = int(groups[cell])
            target = _better(ties[cell], source, int(weights[cell]), loads, mean)
            if target == source:
                continue
            moved = True
            groups[cell] = target
            loads[source] -= weights[cell]
            loads[target] += weights[cell]
            ties[:, source] -= affinity[:, cell]
            ties[:, target] += affinity[:, cell]
        if not moved:
            return


def _better(ties: F64Vector, source: int, weight: int, loads: F64Vector, mean: float) -> int:
    """Return the group that a cell is best moved to, or its own.

    A move that brings an overfull or underfull group closer to the mean goes first, at any loss.
    """
    least, most = mean * (1 - _TOLERANCE), mean * (1 + _TOLERANCE)
    gain = ties - ties[source]
    after = loads + weight
    uneven = (loads < least) | (loads > most)
    mends = (uneven | uneven[source]) & (after < loads[source])
    if mends.any():
        return int(np.where(mends, gain, -np.inf).argmax())
    if loads[source] - weight < least:
        return source
    gain[after > most] = -np.inf
    gain[source] = _LEAST_GAIN
    return int(gain.argmax())
