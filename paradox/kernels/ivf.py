"""The native inverted lists, at the level the other kernels use."""

from __future__ import annotations

from paradox._native import ivf as native
from paradox.core.metric import METRICS, Metric
from paradox.kernels.level import isa

Ivf = native.Ivf


def empty_lists(dim: int, metric: Metric, *, seed: int) -> Ivf:
    """Return inverted lists without rows, to be trained first.

    Args:
        dim: dimension of the vectors.
        metric: what nearest means; no vector may be zero under cosine.
        seed: of the rotation and of all choices at random.
    """
    return Ivf(isa(), dim, METRICS.index(metric), seed)
