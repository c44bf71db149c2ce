"""From the recall a caller asks for to the effort an index spends, learnt on its own data."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from paradox import kernels
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix
from paradox.index import IndexBackend

DEFAULT_RECALL = 0.95
"""Recall aimed at where the caller names none."""

_N_QUERIES = 200
_MIN_ASKED = 50
_GROWTH = 2.0


@dataclass(frozen=True, slots=True)
class _Known:
    """An effort, and what it was learnt on.

    Attributes:
        effort: what the index chose.
        n: vectors it held then.
        asked: whether the queries were some that had been asked.
    """

    effort: int | None
    n: int
    asked: bool


class EffortBook:
    """Efforts that reached a recall, by backend, k and recall, until the index doubles or halves.

    The queries an index is tuned on are those it was asked lately. Before there are enough of
    them, stand-ins are made from its own vectors, and once there are, it is tuned again.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self._asked: deque[F32Matrix] = deque(maxlen=_N_QUERIES)
        self._known: dict[tuple[str, int, float], _Known] = {}
        self._tuning = threading.Lock()
        self._seed = seed

    def note(self, queries: F32Matrix) -> None:
        """Remember one of the queries that were asked."""
        self._asked.append(queries[:1].copy())

    def effort_for(
        self, index: IndexBackend, k: int, recall: float, sample: Callable[[], F32Matrix]
    ) -> int | None:
        """Return the effort that reaches `recall`@k on this index, or None where it has no knob.

        While one caller tunes, others go on with the effort known so far.

        Args:
            index: must not be written to meanwhile.
            k: neighbours asked for.
            recall: in (0, 1].
            sample: gives (m, dim) float32, some of the index's own vectors.
        """
        n = len(index)
        if n == 0:
            return None
        key = (index.stats().backend, k, round(recall, 4))
        known = self._known.get(key)
        if known is not None and self._holds(known, n):
            return known.effort
        if not self._tuning.acquire(blocking=known is None):
            assert known is not None
            return known.effort
        try:
            known = self._known.get(key)
            if known is None or not self._holds(known, n):
                known = self._learn(index, k, recall, sample)
                self._known[key] = known
            return known.effort
        finally:
            self._tuning.release()

    def _holds(self, known: _Known, n: int) -> bool:
        if not known.n / _GROWTH <= n <= known.n * _GROWTH:
            return False
        return known.asked or known.effort is None or len(self._asked) < _MIN_ASKED

    def _learn(
        self, index: IndexBackend, k: int, recall: float, sample: Callable[[], F32Matrix]
    ) -> _Known:
        asked = list(self._asked)
        enough = len(asked) >= _MIN_ASKED
        queries = (
            np.concatenate(asked) if enough else stand_ins(sample(), index.metric, seed=self._seed)
        )
        return _Known(index.tune(queries, k, recall), len(index), enough)


def stand_ins(sample: F32Matrix, metric: Metric, *, seed: int) -> F32Matrix:
    """Return up to 200 points to tune on that are about as hard to answer as real queries.

    They are vectors with their nearest neighbour mirrored through them: near the data, as queries
    are, and as far from the nearest vectors as these are from each other. A vector itself is found
    too easily, and so is a point between two: on 60,000 x 128 of intrinsic dimension 11 an ef of 1
    was enough for both, where 20 was needed for queries that were held out and 21 for these.

    Args:
        sample: (m, dim) float32, some of the index's vectors, m >= 1.
        metric: the index's.
        seed: of the choice.
    """
    rng = np.random.default_rng(seed)
    picked = sample[rng.permutation(len(sample))[:_N_QUERIES]]
    neighbours = kernels.top_k(picked, sample, min(2, len(sample)), metric)[0][:, -1]
    mirrored = 2 * picked - sample[neighbours]
    usable = np.isfinite(mirrored).all(axis=1) & mirrored.any(axis=1)
    return np.where(usable[:, np.newaxis], mirrored, picked)
