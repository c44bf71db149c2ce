"""Cells grouped into shards: neighbouring cells together, shards of like weight.

Recursive bisection across the widest direction gives compact groups of equal weight; moving
border cells then lowers the affinity that the groups cut, as Fiduccia and Mattheyses (1982) do for
graphs. Groups may differ much at first, so that cells find the way to where they belong, and less
and less as it goes on.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from paradox.core.types import BoolMask, F32Matrix, F64Matrix, F64Vector, I64Vector

_TOLERANCES = (0.5, 0.3, 0.2, 0.1, 0.05, 0.03)  # of the mean weight; 5 % are promised of records
_PASSES = 20  # at each tolerance, at most
_PATIENCE = 200  # moves without a better state; 1,000 found no better ones
_LEAST_GAIN = 1e-9  # above what rounding makes up


def group_cells(
    centroids: F32Matrix, weights: I64Vector, affinity: F64Matrix, n_groups: int
) -> npt.NDArray[np.int32]:
    """Return the group of each cell, (c,) int32.

    Args:
        centroids: (c, dim) float32.
        weights: (c,) int64, records of each cell.
        affinity: (c, c) float64, symmetric, zero on its diagonal: how often a pair of cells shares
            an answer.
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
    cut = _Cut(groups, weights, affinity, n_groups)
    for tolerance in _TOLERANCES:
        for _ in range(_PASSES):
            if not _improved(cut, tolerance):
                break


def _improved(cut: _Cut, tolerance: float) -> bool:
    """Move each cell at most once, always the best one, and go back to the best state on the way.

    Moves that lose are made too: often a better one follows.

    Returns:
        Whether that state is better than the first.
    """
    may_move = np.ones(len(cut.groups), np.bool_)
    moves: list[tuple[int, int]] = []
    gained, n_kept = 0.0, 0
    best = (-cut.imbalance(tolerance), _LEAST_GAIN)
    while len(moves) - n_kept < _PATIENCE and (move := cut.best_move(may_move, tolerance)):
        cell, target = move
        moves.append((cell, int(cut.groups[cell])))
        gained += cut.move(cell, target)
        may_move[cell] = False
        state = (-cut.imbalance(tolerance), gained)
        if state > best:
            best, n_kept = state, len(moves)
    for cell, source in reversed(moves[n_kept:]):
        cut.move(cell, source)
    return n_kept > 0


class _Cut:
    """Cells in groups, and how much affinity the groups cut.

    Attributes:
        groups: (c,) int32, the group of each cell.
    """

    def __init__(
        self,
        groups: npt.NDArray[np.int32],
        weights: I64Vector,
        affinity: F64Matrix,
        n_groups: int,
    ) -> None:
        self.groups = groups
        self._weights = weights
        self._affinity = affinity
        self._mean = weights.sum() / n_groups
        self._loads: F64Vector = np.bincount(groups, weights, n_groups).astype(np.float64)
        self._ties: F64Matrix = affinity @ np.eye(n_groups)[groups]  # of a cell to each group
        self._cells = np.arange(len(groups))

    def imbalance(self, tolerance: float) -> float:
        """Return by how much the groups leave the tolerance, in all."""
        beyond = np.abs(self._loads - self._mean) - tolerance * self._mean
        return float(np.maximum(beyond, 0).sum())

    def best_move(self, may_move: BoolMask, tolerance: float) -> tuple[int, int] | None:
        """Return the cell and the group that lower the cut most, or raise it least.

        No group may leave the tolerance by it. A move that brings one outside of it closer to the
        mean goes first, at any loss.
        """
        least, most = self._mean * (1 - tolerance), self._mean * (1 + tolerance)
        sources = self._loads[self.groups]
        after = self._loads + self._weights[:, np.newaxis]
        evens = (after < sources[:, np.newaxis]) & may_move[:, np.newaxis]
        uneven = (self._loads < least) | (self._loads > most)
        allowed = evens & (uneven | uneven[self.groups][:, np.newaxis])
        if not allowed.any():
            stays = may_move & (sources - self._weights >= least)
            allowed = (after <= most) & stays[:, np.newaxis]
            allowed[self._cells, self.groups] = False
            if not allowed.any():
                return None
        own = self._ties[self._cells, self.groups]
        gains = np.where(allowed, self._ties - own[:, np.newaxis], -np.inf)
        cell, target = divmod(int(gains.argmax()), len(self._loads))
        return cell, target

    def move(self, cell: int, target: int) -> float:
        """Move a cell, and return by how much the cut is lower."""
        source = int(self.groups[cell])
        gain = float(self._ties[cell, target] - self._ties[cell, source])
        self.groups[cell] = target
        self._loads[source] -= self._weights[cell]
        self._loads[target] += self._weights[cell]
        self._ties[:, source] -= self._affinity[:, cell]
        self._ties[:, target] += self._affinity[:, cell]
        return gain
