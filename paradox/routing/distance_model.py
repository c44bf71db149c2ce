"""How far the members of a cell lie from a query, told from the cell's centroid and radius alone.

If the members spread alike in D independent directions, with root mean square distance r to their
centroid, then from a query at distance d of the centroid their squared distances have

    mean d² + r²    and    variance (4 d² r² + 2 r⁴) / D,

and the distances themselves are nearly normal (as Fisher showed for the roots of chi-squared
variables). Real members spread unevenly; the D that gives the variance they have is measured.

Under `ip` the products of a query with the members are normal around that with the centroid.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, F32Vector
from paradox.routing.clustering import Clustering, middle

DEFAULT_EFFECTIVE_DIM = 20.0
"""Where there are too few vectors to measure it; a low one makes wide plans."""

_PROBES = 256
_CELLS_A_PROBE = 8  # nearby ones: the model is used where neighbours are found
_ENOUGH_MEMBERS = 8
_TINY = np.float32(1e-30)  # keeps deviations from zero; its square root still is a float32


class DistanceModel:
    """The distances to expect from queries to the members of cells.

    Args:
        centroids: (c, dim) float32.
        squared_radii: (c,) float32.
        effective_dim: the D of all of them.
        metric: `ip` gives negated products, the others Euclidean distances in cell space.
    """

    def __init__(
        self,
        centroids: F32Matrix,
        squared_radii: F32Vector,
        effective_dim: float,
        metric: Metric,
    ) -> None:
        self._metric = metric
        self._origin = _origin(centroids, metric)
        self._centroids = centroids - self._origin
        self._norms = np.einsum("cd,cd->c", self._centroids, self._centroids)
        self._squared_radii = squared_radii
        self._variances = squared_radii / np.float32(effective_dim)

    def expect(self, queries: F32Matrix) -> tuple[F32Matrix, F32Matrix]:
        """Return mean and standard deviation of the distance of each query to each cell's members.

        Args:
            queries: (n_queries, dim) float32, in cell space.

        Returns:
            Two (n_queries, c) float32; the deviation is never zero.
        """
        centred = queries - self._origin
        products = centred @ self._centroids.T
        norms = np.einsum("qd,qd->q", centred, centred)[:, np.newaxis]
        if self._metric == "ip":
            mean = -products
            deviation = np.sqrt(norms * self._variances)
        else:
            squared = np.maximum(norms + self._norms - 2 * products, 0)
            mean_square = squared + self._squared_radii + _TINY
            variance = (squared + self._squared_radii / 2) / mean_square * self._variances
            mean = np.sqrt(np.maximum(mean_square - variance, 0))
            deviation = np.sqrt(variance)
        return mean, deviation + np.float32(1e-6) * np.abs(mean) + _TINY


def _origin(points: F32Matrix, metric: Metric) -> F32Vector:
    """Return where points are seen from, (dim,) float32: their middle, but products from zero."""
    if metric == "ip" or len(points) == 0:
        return np.zeros(points.shape[1], np.float32)
    return middle(points)


@np.errstate(over="ignore", invalid="ignore")
def effective_dim(points: F32Matrix, cells: Clustering, metric: Metric, *, seed: int) -> float:
    """Measure D: the one with which the model gives the deviations that the members have.

    Args:
        points: (m, dim) float32, in cell space.
        cells: their clustering.
        metric: what the deviations are of.
        seed: of the choice of points that stand in for queries.

    Returns:
        The median over pairs of a point and a cell near it, without those whose squares overflow;
        the default where there are none.
    """
    rng = np.random.default_rng(seed)
    probes = np.sort(rng.choice(len(points), min(_PROBES, len(points)), replace=False))
    model = DistanceModel(cells.centroids, cells.squared_radii, 1.0, metric)
    _, modelled = model.expect(points[probes])
    mean, measured = _observed(points, probes, cells, metric)
    blank = (cells.counts < _ENOUGH_MEMBERS) | (measured <= 1e-4 * np.abs(mean))
    blank[np.arange(len(probes)), cells.labels[probes]] = True  # the probe is a member itself
    mean[blank] = np.inf
    near = np.argsort(mean, axis=1, kind="stable")[:, :_CELLS_A_PROBE]
    usable = np.isfinite(np.take_along_axis(mean, near, 1))
    if not usable.any():
        return DEFAULT_EFFECTIVE_DIM
    ratios = (
        np.take_along_axis(modelled, near, 1)[usable]
        / np.take_along_axis(measured, near, 1)[usable]
    )
    return float(np.median(ratios) ** 2)


def _observed(
    points: F32Matrix, probes: npt.NDArray[np.int64], cells: Clustering, metric: Metric
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean and standard deviation of the distances of each probe to each cell's members."""
    points = points - _origin(points, metric)
    order = np.argsort(cells.labels, kind="stable")
    starts = np.cumsum(cells.counts) - cells.counts
    distances = -(points[probes] @ points[order].T)
    if metric != "ip":
        norms = np.einsum("md,md->m", points, points)
        distances = 2 * distances + norms[probes, np.newaxis] + norms[order]
        distances = np.sqrt(np.maximum(distances, 0))
    mean = np.add.reduceat(distances, starts, axis=1, dtype=np.float64) / cells.counts
    square = np.add.reduceat(distances.astype(np.float64) ** 2, starts, axis=1) / cells.counts
    return mean, np.sqrt(np.maximum(square - mean * mean, 0))
