"""Summaries of shards: how a shard keeps its own fresh, and how a searcher keeps those of all."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import Lock, Thread
from typing import Protocol

import numpy as np

from paradox.core.errors import ParadoxError
from paradox.routing import ShardSummary

_LOG = logging.getLogger(__name__)

MAX_AGE_S = 1.5
"""A searcher asks for newer summaries when its own are older than this."""

TOO_OLD_S = 4 * MAX_AGE_S
"""Older ones are not used while newer ones can be had: a query after a pause waits for these."""

SAMPLE = 16_000
"""Vectors a summary is made from."""

_PATIENCE_S = 10.0
_AFTER_A_PAUSE_S = 0.25  # fetching takes some 3 ms where no shard hangs
_MIN_INTERVAL_S = 0.5
_SHARE_OF_TIME = 0.05  # of a shard's time goes into its summaries, at most


class SummaryKeeper:
    """A shard's own summary, made again in the background as the shard changes.

    Making one clusters a sample, 10 ms for a small shard and seconds for a large one, so it is
    made no more often than costs a twentieth of the shard's time. Until then the last one is
    given out, whose `seq` tells that it is behind.

    Args:
        make: makes a summary of the shard as it is.
        seq: returns the shard's last write.
        n_live: returns the number of its records.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        make: Callable[[], ShardSummary],
        seq: Callable[[], int],
        n_live: Callable[[], int],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._seq = seq
        self._n_live = n_live
        self._clock = clock
        self._lock = Lock()
        self._current: ShardSummary | None = None
        self._due_at = 0.0
        self._making = False

    def current(self) -> ShardSummary:
        """Return the newest summary there is; the first is waited for."""
        with self._lock:
            if self._current is None:
                self._remake()
            newest = self._newest()
            assert newest is not None
            return newest

    def newest(self) -> ShardSummary | None:
        """Return the newest summary there is, and wait for none: None while the first is made."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return self._newest()
        finally:
            self._lock.release()

    def _newest(self) -> ShardSummary | None:
        """Return the newest summary, and have a newer one made if it is behind."""
        if self._behind() and not self._making and self._clock() >= self._due_at:
            self._making = True
            Thread(target=self._remake_aside, name="summary", daemon=True).start()
        if self._current is not None and self._behind():
            return replace(self._current, n_live=self._n_live())
        return self._current

    def _behind(self) -> bool:
        return self._current is None or self._current.seq != self._seq()

    def _remake_aside(self) -> None:
        try:
            self._remake()
        except ParadoxError:
            _LOG.warning("the summary stays as it was", exc_info=True)
        finally:
            self._making = False

    def _remake(self) -> None:
        started = self._clock()
        self._current = self._make()
        took = self._clock() - started
        self._due_at = self._clock() + max(_MIN_INTERVAL_S, took / _SHARE_OF_TIME)


class SummarySource(Protocol):
    """Where a searcher gets summaries from."""

    def summaries(
        self, known: Mapping[int, ShardSummary], *, timeout_s: float
    ) -> dict[int, ShardSummary | ParadoxError]:
        """Return the summary of each shard, or why there is none.

        Args:
            known: those the caller has; where one is still the newest it is returned itself.
            timeout_s: how long the shards have.
        """
        ...


class SummaryCache:
    """The summaries of all shards of a collection, as one searcher knows them.

    Once they are `MAX_AGE_S` old newer ones are fetched beside the queries, and once they are
    `TOO_OLD_S` old, as after a pause, a query fetches them first. A shard written to through this
    client is always asked until its summary tells of the write: a client finds what it wrote.

    Args:
        source: where summaries come from.
        n_shards: shards of the collection.
        dim: dimension of its vectors.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        source: SummarySource,
        *,
        n_shards: int,
        dim: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._n_shards = n_shards
        self._dim = dim
        self._clock = clock
        self._lock = Lock()
        self._known: dict[int, ShardSummary] = {}
        self._all: tuple[ShardSummary, ...] = ()
        self._unseen: dict[int, int] = {}  # shard to this client's last write, not yet told of
        self._refreshed_at = -math.inf
        self._refreshing = False

    def current(self, *, timeout_s: float) -> tuple[ShardSummary, ...]:
        """Return a summary of each shard; waits only where there is none yet, or none of late.

        Args:
            timeout_s: what the caller has in all. Half of it may go into waiting for summaries,
                so that a shard that hangs leaves time to ask the others. A shard that has never
                told its summary stands in as one that must be asked.
        """
        age_s = self._clock() - self._refreshed_at
        if not self._all:
            self.refresh(timeout_s=timeout_s / 2)
        elif age_s > MAX_AGE_S and not self._refreshing:
            if age_s > TOO_OLD_S:
                self.refresh(timeout_s=min(timeout_s / 2, _AFTER_A_PAUSE_S))
                return self._all
            self._refreshing = True
            Thread(target=self._refresh_aside, name="summaries", daemon=True).start()
        return self._all

    def unseen_writes(self) -> tuple[int, ...]:
        """Return the shards whose summary does not tell yet of what was written through here."""
        with self._lock:  # not between a refresh's forgetting of a write and its new summaries
            return tuple(self._unseen)

    def wrote(self, shard: int, seq: int) -> None:
        """Note a write to a shard, so that queries ask it until its summary tells of the write."""
        with self._lock:
            summary = self._known.get(shard)
            if summary is None or summary.seq < seq:
                self._unseen[shard] = max(seq, self._unseen.get(shard, 0))

    def refresh(self, *, timeout_s: float) -> None:
        """Ask all shards for newer summaries, and wait for those that come in time."""
        replies = self._source.summaries(self._known, timeout_s=timeout_s)
        with self._lock:
            for shard, reply in replies.items():
                if isinstance(reply, ShardSummary) and not self._outdated(reply):
                    self._known[shard] = reply
                    if reply.seq >= self._unseen.get(shard, math.inf):
                        del self._unseen[shard]
            self._all = tuple(self._of(shard) for shard in range(self._n_shards))
            self._refreshed_at = self._clock()

    def _refresh_aside(self) -> None:
        try:
            self.refresh(timeout_s=_PATIENCE_S)
        finally:
            self._refreshing = False

    def _outdated(self, reply: ShardSummary) -> bool:
        known = self._known.get(reply.shard)
        return known is not None and (reply.epoch, reply.seq) < (known.epoch, known.seq)

    def _of(self, shard: int) -> ShardSummary:
        """Return the summary of a shard, or one that tells nothing but that it may hold records."""
        if shard in self._known:
            return self._known[shard]
        typical = sum(known.n_live for known in self._known.values()) // max(len(self._known), 1)
        return ShardSummary(
            shard=shard,
            seq=-1,
            epoch=-1,
            n_live=max(typical, 1),
            resident_bytes=0,
            centroid=np.zeros(self._dim, np.float32),
            centroids=np.zeros((0, self._dim), np.float32),
            counts=np.zeros(0, np.int64),
            radii=np.zeros(0, np.float32),
            load=0.0,
            healthy=False,
        )
