"""The soft vote: how many of a query's k nearest records each shard should hold."""

from __future__ import annotations

import numpy as np

from paradox.core.types import F32Matrix, F32Vector, I64Matrix, I64Vector

_VOTERS = 256  # nearest cells that vote; more let the model's far tails widen the plans
_RECORDS_A_NEIGHBOUR = 16  # and they hold, on average, this many records for each neighbour
_REACH = 2.0  # deviations by which a wide cell counts as nearer than its mean says
_RADII = 12  # distances at which the records within are counted; 96 save 1 % of the shards asked
_STEPS = np.linspace(0, 1, _RADII, dtype=np.float32)
_SCORES_AT_ONCE = 1 << 20  # bounds the memory: 4 MB an array


def vote(
    mean: F32Matrix,
    deviation: F32Matrix,
    counts: F32Vector,
    shards: I64Vector,
    n_shards: int,
    k: int,
) -> F32Matrix:
    """Return how many of each query's k nearest records to expect in each shard.

    Args:
        mean: (n_queries, c) float32, mean distance of each query to the members of each cell.
        deviation: (n_queries, c) float32, their standard deviation, not zero.
        counts: (c,) float32, records of each cell; c >= 1.
        shards: (c,) int64, 0 to n_shards - 1: whose cell it is.
        n_shards: columns of the answer.
        k: neighbours wanted.

    Returns:
        (n_queries, n_shards) float32; a row adds up to about k, or to what there is.
    """
    wanted = int(_RECORDS_A_NEIGHBOUR * k * len(counts) / max(counts.sum(), 1))
    voters = min(max(_VOTERS, wanted), len(counts))
    votes = np.empty((len(mean), n_shards), np.float32)
    at_once = max(1, _SCORES_AT_ONCE // (_RADII * voters))
    for start in range(0, len(mean), at_once):
        block = slice(start, start + at_once)
        near = _nearest(mean[block], deviation[block], voters)
        rows = np.arange(start, start + len(near))[:, np.newaxis]
        found = _found(
            mean[rows, near],
            deviation[rows, near],
            counts[near],
            k,
        )
        votes[block] = _summed(found, shards[near], n_shards)
    return votes


def _nearest(mean: F32Matrix, deviation: F32Matrix, n: int) -> I64Matrix:
    """Return (n_queries, n) int64, the n cells whose nearer members are nearest, in any order."""
    if n == mean.shape[1]:
        return np.broadcast_to(np.arange(n), mean.shape)
    reach = mean - np.float32(_REACH) * deviation
    return np.argpartition(reach, n, axis=1)[:, :n]


def _found(mean: F32Matrix, deviation: F32Matrix, counts: F32Matrix, k: int) -> F32Matrix:
    """Return how many records of each cell lie within the radius that should hold k of them.

    Args:
        mean: (n_queries, m) float32.
        deviation: (n_queries, m) float32.
        counts: (n_queries, m) float32.
        k: neighbours wanted.

    Returns:
        (n_queries, m) float32.
    """
    rows = np.arange(len(mean))
    radii = _radii(mean, deviation, counts, k)
    scores = (radii[:, :, np.newaxis] - mean[:, np.newaxis]) / deviation[:, np.newaxis]
    shares = _below(scores)  # (n_queries, n_radii, m), of each cell's members
    totals = (shares @ counts[:, :, np.newaxis])[:, :, 0]
    outer = np.clip((totals < k).sum(axis=1), 1, _RADII - 1)
    inner = outer - 1
    step = np.maximum(totals[rows, outer] - totals[rows, inner], np.float32(1e-20))
    between = np.clip((k - totals[rows, inner]) / step, 0, 1)[:, np.newaxis]
    found: F32Matrix = shares[rows, inner] * (1 - between) + shares[rows, outer] * between
    found *= counts
    return found


def _radii(mean: F32Matrix, deviation: F32Matrix, counts: F32Matrix, k: int) -> F32Matrix:
    """Return (n_queries, 12) float32 distances: the first holds hardly any record, the last k.

    Half of a cell's records are nearer than their mean distance.
    """
    rows = np.arange(len(mean))[:, np.newaxis]
    order = np.argsort(mean, axis=1, kind="stable")
    enough = np.cumsum(counts[rows, order], axis=1) >= 2 * k
    first = order[rows, enough.argmax(axis=1)[:, np.newaxis]]
    outermost = (mean + 5 * deviation).max(axis=1, keepdims=True)
    high = np.where(enough[:, -1:], mean[rows, first], outermost)
    low = np.minimum((mean - 5 * deviation).min(axis=1, keepdims=True), high)
    radii: F32Matrix = low + (high - low) * _STEPS
    return radii


def _below(scores: F32Matrix) -> F32Matrix:
    """Approximate the standard normal distribution function (Page 1977), to 1.4e-4; in place."""
    z = np.clip(scores, -8, 8, out=scores)
    powers: F32Matrix = z * z
    powers *= np.float32(-0.070565)
    powers -= np.float32(1.5976)
    powers *= z
    np.exp(powers, out=powers)
    powers += 1
    np.reciprocal(powers, out=powers)
    return powers


def _summed(found: F32Matrix, shards: I64Matrix, n_shards: int) -> F32Matrix:
    """Add up what was found in the cells of each shard, (n_queries, n_shards) float32."""
    n_queries = len(found)
    places = shards + n_shards * np.arange(n_queries)[:, np.newaxis]
    sums = np.bincount(places.ravel(), found.ravel(), n_queries * n_shards)
    return sums.reshape(n_queries, n_shards).astype(np.float32)
