"""From a recall to the smallest effort that reaches it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from paradox.core.types import NO_ID, F64Vector, Neighbors

_CERTAINTY = 2.0
"""Standard errors by which the mean over the tuning queries must exceed the recall, so that other
queries of the same kind reach it too."""
_PRECISION = 1.05
"""Efforts nearer to each other than this are not told apart."""


def smallest_effort(
    search: Callable[[int], Neighbors], truth: Neighbors, recall: float, *, greatest: int
) -> int:
    """Return the smallest effort that reaches a recall, or the greatest.

    Args:
        search: answers the tuning queries with an effort.
        truth: their exact answers.
        recall: in (0, 1].
        greatest: the effort to end with, of 1 or more; not tried.
    """

    @cache
    def reaches(effort: int) -> bool:
        shares = found_shares(search(effort), truth)
        error = shares.std() / np.sqrt(len(shares))
        return bool(shares.mean() - _CERTAINTY * error >= recall)

    low, high = 0, 1
    while high < greatest and not reaches(high):
        low, high = high, high * 2
    high = min(high, greatest)
    while high > low + 1 and high > low * _PRECISION:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def found_shares(found: Neighbors, truth: Neighbors) -> F64Vector:
    """Return (n_queries,) the share of each query's nearest that was found; ties count as found.

    Args:
        found: with true distances, rounded as those of `truth` are.
        truth: the exact answer to the same queries and k.
    """
    is_true = truth.ids != NO_ID
    n_true = is_true.sum(axis=1)
    farthest = np.where(is_true, truth.distances, -np.inf).max(axis=1)
    hits = (found.ids != NO_ID) & (found.distances <= farthest[:, np.newaxis])
    shares: F64Vector = hits.sum(axis=1) / np.maximum(n_true, 1)
    return shares
