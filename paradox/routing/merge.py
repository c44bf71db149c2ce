"""The answers of several shards made into one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from paradox.core.types import NO_ID, F32Matrix, I64Matrix, Neighbors
from paradox.routing.plan import QueryPlan

_CANDIDATES_AT_ONCE = 1 << 22  # bounds the sort's memory: 48 MB of ids and distances


def merge(answers: Mapping[int, Neighbors], plan: QueryPlan, n_queries: int, k: int) -> Neighbors:
    """Return the k nearest of what the shards found, for each query.

    Ties in distance go to the lower id. An id found by two shards counts once, at its lesser
    distance.

    Args:
        answers: shard to its answer, with a row for each of `plan.queries_by_shard[shard]`.
        plan: the plan that was asked.
        n_queries: queries of the whole request.
        k: neighbours of each.

    Returns:
        ids (n_queries, k) int64, distances (n_queries, k) float32, padded with -1 and +inf; the
        greatest effort of any shard; `shards_touched` counts the answers. Whether it is certified
        and what is missing is not for the merge to say.
    """
    ids = np.full((n_queries, k), NO_ID, np.int64)
    distances = np.full((n_queries, k), np.inf, np.float32)
    width = sum(answer.ids.shape[1] for answer in answers.values())
    rows_at_once = max(1, _CANDIDATES_AT_ONCE // max(width, 1))
    for start in range(0, n_queries, rows_at_once):
        stop = min(start + rows_at_once, n_queries)
        found_ids, found_distances = _gathered(answers, plan, start, stop, width)
        found_ids, found_distances = _sorted_rows(found_ids, found_distances)
        if _drop_repeated(found_ids, found_distances):
            found_ids, found_distances = _sorted_rows(found_ids, found_distances)
        kept = min(k, width)
        ids[start:stop, :kept] = found_ids[:, :kept]
        distances[start:stop, :kept] = found_distances[:, :kept]
    efforts = [answer.effort for answer in answers.values() if answer.effort is not None]
    return Neighbors(ids, distances, effort=max(efforts, default=None), shards_touched=len(answers))


def _gathered(
    answers: Mapping[int, Neighbors], plan: QueryPlan, start: int, stop: int, width: int
) -> tuple[I64Matrix, F32Matrix]:
    """Lay what was found for queries start to stop side by side, padding where not asked."""
    ids = np.full((stop - start, width), NO_ID, np.int64)
    distances = np.full((stop - start, width), np.inf, np.float32)
    column = 0
    for shard, answer in answers.items():
        asked = plan.queries_by_shard[shard]
        first, last = np.searchsorted(asked, (start, stop))
        rows = asked[first:last] - start
        columns = slice(column, column + answer.ids.shape[1])
        ids[rows, columns] = answer.ids[first:last]
        distances[rows, columns] = answer.distances[first:last]
        column = columns.stop
    return ids, distances


def _sorted_rows(ids: I64Matrix, distances: F32Matrix) -> tuple[I64Matrix, F32Matrix]:
    """Sort each row by distance, then id, with padding last even among infinite distances."""
    order = np.lexsort((ids, ids == NO_ID, distances), axis=-1)
    return np.take_along_axis(ids, order, 1), np.take_along_axis(distances, order, 1)


def _drop_repeated(ids: I64Matrix, distances: F32Matrix) -> bool:
    """Turn every occurrence of an id but its first in the row into padding; tell if any was."""
    order = np.argsort(ids, axis=1, kind="stable")
    by_id = np.take_along_axis(ids, order, 1)
    repeated = (by_id[:, 1:] == by_id[:, :-1]) & (by_id[:, 1:] != NO_ID)
    if not repeated.any():
        return False
    rows, places = np.nonzero(repeated)
    columns = order[rows, places + 1]
    ids[rows, columns] = NO_ID
    distances[rows, columns] = np.inf
    return True
