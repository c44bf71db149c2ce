"""How little a shard may be expected to hold and still be asked, learnt from real answers.

Over many queries the recall lost is that of all shards left out together, so the cheapest way to
keep it is one threshold for all: ask every shard that is expected to hold more than some share.
What share that is depends on how well the planner predicts here. Now and then a query goes to
every shard, and its answer tells what each threshold would have lost.
"""

from __future__ import annotations

from threading import Lock

import numpy as np

from paradox.core.types import F32Matrix, F64Matrix, I64Matrix, I64Vector

_ENOUGH = 64  # queries, before which nothing is said
_KEPT = 512
_ONE_IN_AT_FIRST, _ONE_IN = 4, 200  # once enough are known, few enough to leave the p99 alone
_ERRORS = 2.0  # standard errors that the recall kept is held above what is wanted


class ThresholdCalibration:
    """Chooses queries to ask everywhere, and learns from their answers.

    Args:
        seed: of the choice.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._lock = Lock()
        self._shares: list[F32Matrix] = []
        self._held: list[F64Matrix] = []
        self._n_known = 0
        self._thresholds: dict[float, float] = {}

    def choose(self, n_queries: int) -> I64Vector:
        """Return which of so many queries to ask everywhere, ascending rows; mostly none."""
        with self._lock:
            one_in = _ONE_IN if self._n_known >= _ENOUGH else _ONE_IN_AT_FIRST
            n_chosen = min(self._rng.binomial(n_queries, 1 / one_in), _KEPT)
            chosen = self._rng.choice(n_queries, n_chosen, replace=False)
        return np.sort(chosen)

    def observe(self, shares: F32Matrix, given: I64Matrix) -> None:
        """Learn from queries that every shard was asked.

        Args:
            shares: (n, n_shards) float32, what was predicted of them.
            given: (n, n_shards) int64, how many of the answer each shard gave; queries that
                nothing was found for tell nothing.
        """
        found = given.sum(axis=1)
        shares, given, found = shares[found > 0], given[found > 0], found[found > 0]
        if len(found) == 0:
            return
        with self._lock:
            if self._shares and self._shares[-1].shape[1] != shares.shape[1]:
                self._shares, self._held = [], []  # of another number of shards
            self._shares.append(shares)
            self._held.append(given / found[:, np.newaxis])
            if sum(map(len, self._shares)) > _KEPT:
                self._shares = [np.concatenate(self._shares)[-_KEPT:]]
                self._held = [np.concatenate(self._held)[-_KEPT:]]
            self._n_known = sum(map(len, self._shares))
            self._thresholds = {}

    def threshold(self, share: float) -> float | None:
        """Return the predicted share from which on a shard must be asked, in (0, 1].

        Args:
            share: of the answers that the shards asked must hold on average; the likeliest shard
                is always asked.

        Returns:
            The greatest that keeps it, or None where too little is known.
        """
        with self._lock:
            if self._n_known < _ENOUGH:
                return None
            if share not in self._thresholds:
                shares, held = np.concatenate(self._shares), np.concatenate(self._held)
                self._thresholds[share] = _greatest(shares, held, share)
            return self._thresholds[share]


def _greatest(shares: F32Matrix, held: F64Matrix, share: float) -> float:
    """Return the greatest threshold that keeps `share`, by two standard errors if one does."""
    shares = shares.copy()
    shares[np.arange(len(shares)), shares.argmax(axis=1)] = np.inf  # asked in any case
    order = np.argsort(-shares, axis=None, kind="stable")
    kept = np.cumsum(held.ravel()[order]) / len(held)
    threshold, error = 1.0, 0.0
    for _ in range(2):  # the error is that of the threshold without it
        wanted = min(share + _ERRORS * error, kept[-1])
        last = order[np.searchsorted(kept, wanted)]
        threshold = float(min(shares.ravel()[last], 1.0))
        error = float((held * (shares >= threshold)).sum(axis=1).std()) / np.sqrt(len(held))
    return threshold
