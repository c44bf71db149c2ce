"""From the recall a caller asks for to the effort an index spends, learnt on its own data."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import numpy as np

from paradox import kernels
from paradox.core.types import F32Matrix
from paradox.index import IndexBackend

DEFAULT_RECALL = 0.95
"""Recall aimed at where the caller names none."""

_N_QUERIES = 200
_MIN_ASKED = 50
_GROWTH = 2.0


class EffortBook:
    """Efforts that reached a recall, by backend, k and recall, until the index doubles or halves.

    The queries an index is tuned on are those it was asked lately; before there are enough of
    them, points half-way between its own neighbours stand in: near the data, as queries are, and
    not in it, since a vector finds itself too easily.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self._asked: deque[F32Matrix] = deque(maxlen=_N_QUERIES)
        self._efforts: dict[tuple[str, int, float], tuple[int | None, int]] = {}
        self._tuning = threading.Lock()
        self._seed = seed

    def note(self, queries: F32Matrix) -> None:
        """Remember a few of the queries that were asked."""
        self._asked.append(queries[:1].copy())

    def effort_for(
        self, index: IndexBackend, k: int, recall: float, sample: Callable[[], F32Matrix]
    ) -> int | None:
        """Return the effort that reaches `recall`@k on this index, or None where it has no knob.

        Args:
            index: must not be written to meanwhile.
            k: neighbours asked for.
            recall: in (0, 1].
            sample: gives (m, dim) float32, some of the index's own vectors.
        """
        n = len(index)
        key = (index.stats().backend, k, round(recall, 4))
        if n == 0:
            return None
        if self._holds(key, n):
            return self._efforts[key][0]
        with self._tuning:
            if not self._holds(key, n):
                effort = index.tune(self._queries(index, sample()), k, recall)
                self._efforts[key] = (effort, n)
            return self._efforts[key][0]

    def _holds(self, key: tuple[str, int, float], n: int) -> bool:
        known = self._efforts.get(key)
        return known is not None and known[1] / _GROWTH <= n <= known[1] * _GROWTH

    def _queries(self, index: IndexBackend, sample: F32Matrix) -> F32Matrix:
        if len(self._asked) >= _MIN_ASKED:
            return np.concatenate(self._asked.copy())
        rng = np.random.default_rng(self._seed)
        picked = sample[rng.permutation(len(sample))[:_N_QUERIES]]
        neighbours = kernels.top_k(picked, sample, min(2, len(sample)), index.metric)[0][:, -1]
        return (picked + sample[neighbours]) / np.float32(2)
