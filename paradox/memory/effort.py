"""From the recall a caller asks for to the effort an index spends, learnt on its own data."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np

from paradox import kernels
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, F32Vector
from paradox.index import IndexBackend
from paradox.index.options import MAX_EFFORT

DEFAULT_RECALL = 0.95
"""Recall aimed at where the caller names none."""

_N_QUERIES = 200
_MIN_ASKED = 50
_A_CALL = 64
_NEIGHBOURS = 64
_SPREAD = 1.2
_GROWTH = 2.0


@dataclass(frozen=True, slots=True)
class _Known:
    """An effort, and what it was learnt on.

    Attributes:
        effort: what the index chose.
        n: vectors it held then.
        n_asked: how many queries of callers that was, 0 where it was stand-ins.
    """

    effort: int | None
    n: int
    n_asked: int


class EffortBook:
    """Efforts that reached a recall, by k and recall, until an index doubles, halves or is remade.

    The queries an index is tuned on are the last 200 it was asked, 64 of a call at most. Before
    there are 50, stand-ins are made from its own vectors; it is tuned again once there are 50, and
    once more when there are 200, which no call outweighs.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self._asked: deque[F32Vector] = deque(maxlen=_N_QUERIES)
        self._known: dict[tuple[Hashable, int, float], _Known] = {}
        self._tuning = threading.Lock()
        self._seed = seed

    def note(self, queries: F32Matrix) -> None:
        """Remember queries that are asked: at most 64 of a call, of all its parts."""
        n = min(len(queries), _A_CALL)
        self._asked.extend(queries[np.arange(n) * len(queries) // max(n, 1)])

    def effort_for(
        self, index: IndexBackend, k: int, recall: float, sample: Callable[[], F32Matrix]
    ) -> int | None:
        """Return the effort that reaches `recall`@k on this index; None where effort is idle.

        While one caller tunes, others go on with the effort known so far.

        Args:
            index: must not be written to meanwhile, unless it may be read beside a writer.
            k: neighbours asked for.
            recall: in (0, 1].
            sample: gives (m, dim) float32, some of the index's own vectors; m may be 0.
        """
        n = len(index)
        if n == 0:
            return None
        if recall == 1:
            return MAX_EFFORT  # a scan: no number of queries can tell that none is ever missed
        if not index.tunable(k):
            return None
        key = (index.effort_key, k, round(recall, 4))
        known = self._known.get(key)
        if known is not None and self._holds(known, n):
            return known.effort
        if known is not None and self._tuning.locked():
            return known.effort
        with self._tuning:
            known = self._known.get(key)
            if known is None or not self._holds(known, n):
                known = self._learn(index, k, recall, sample)
                others = {past: e for past, e in self._known.items() if past[0] == key[0]}
                self._known = {**others, key: known}  # those of builds that are no more are idle
            return known.effort

    def is_known(self, index: IndexBackend, k: int, recall: float) -> bool:
        """Tell whether `effort_for` would tune nothing."""
        n = len(index)
        if n == 0 or recall == 1 or not index.tunable(k):
            return True
        known = self._known.get((index.effort_key, k, round(recall, 4)))
        return known is not None and (self._holds(known, n) or self._tuning.locked())

    def _holds(self, known: _Known, n: int) -> bool:
        if not known.n / _GROWTH <= n <= known.n * _GROWTH:
            return False
        wanted = _N_QUERIES if known.n_asked else _MIN_ASKED
        return known.n_asked == _N_QUERIES or len(self._asked) < wanted

    def _learn(
        self, index: IndexBackend, k: int, recall: float, sample: Callable[[], F32Matrix]
    ) -> _Known:
        asked = list(self._asked)
        if len(asked) >= _MIN_ASKED:
            return _Known(index.tune(np.stack(asked), k, recall), len(index), len(asked))
        vectors = sample()
        if not len(vectors):  # all were deleted since the index was looked at
            return _Known(None, 0, 0)
        queries = stand_ins(vectors, index.metric, seed=self._seed)
        return _Known(index.tune(queries, k, recall), len(index), 0)


def stand_ins(sample: F32Matrix, metric: Metric, *, seed: int) -> F32Matrix:
    """Return up to 200 points to tune on that are about as hard to answer as real queries.

    Each is drawn from a Gaussian with the mean and 1.2 times the deviations of the 64 vectors of
    the sample that are nearest to one of them. A vector itself is found too easily, and so is a
    point between two of them, or one mirrored through another; `docs/log.md` has the recalls that
    each led to.

    Args:
        sample: (m, dim) float32, some of the index's vectors, m >= 1.
        metric: the index's.
        seed: of the choice.
    """
    rng = np.random.default_rng(seed)
    picked = sample[rng.permutation(len(sample))[:_N_QUERIES]]
    n_near = min(_NEIGHBOURS, len(sample))
    near = sample[kernels.top_k(picked, sample, n_near, metric)[0]].astype(np.float64)
    means = near.mean(axis=1)
    weights = rng.standard_normal((len(picked), 1, n_near)) / np.sqrt(max(n_near - 1, 1))
    weights *= _SPREAD
    drawn = means + (weights @ (near - means[:, np.newaxis]))[:, 0]
    with np.errstate(over="ignore"):
        queries = drawn.astype(np.float32)
    usable = np.isfinite(queries).all(axis=1) & queries.any(axis=1)
    return np.where(usable[:, np.newaxis], queries, picked)
