"""Where records live: decided when an id is first written, and kept for good.

A home that never changes means that an id never has two records, whatever vectors it is given
later. Under hash partitioning the home follows from the id. Under semantic partitioning a record's
first vector decides, and a directory remembers; it is spread over the shards by hash, so that the
owner of an id knows its home.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from paradox.cluster.settings import CollectionSettings
from paradox.core.types import F32Matrix, I32Vector, I64Vector
from paradox.routing import HashPartitioner, Partitioner, partitioner_from_bytes, sample_size

NOWHERE = -1
"""The home of an id that was never written."""

TRAINING_ROWS_A_SHARD = 64
"""The first batch with so many vectors for each shard trains the semantic partitioner."""


class ShardCalls(Protocol):
    """Calls to several shards at once that wait for all of them; see `RayShards.ask_all`."""

    def ask_all(
        self, method: str, arguments: dict[int, tuple[Any, ...]], *, timeout_s: float
    ) -> dict[int, Any]:
        """Call a method of several shards; return shard to result."""
        ...


class SupervisorCalls(Protocol):
    """Calls to the supervisor; see `SupervisorLink.ask`."""

    def ask(self, method: str, *args: Any) -> Any:
        """Call a method of `Supervisor`."""
        ...


class Placement:
    """The homes of a collection's records.

    Args:
        settings: of the collection.
        shards: the way to its shards.
        supervisor: the way to the supervisor.
    """

    def __init__(
        self, settings: CollectionSettings, shards: ShardCalls, supervisor: SupervisorCalls
    ) -> None:
        self._settings = settings
        self._shards = shards
        self._supervisor = supervisor
        self._owners = HashPartitioner(settings.shards)
        self._trained: Partitioner | None = None

    def prepare(self, batch: F32Matrix) -> None:
        """Train the semantic partitioner on a batch to be added, if it is the first big enough.

        Args:
            batch: (n, dim) float32, all that one call adds.
        """
        if len(batch) >= TRAINING_ROWS_A_SHARD * self._settings.shards and not self.trained:
            self.train(batch)

    def settle(self, ids: I64Vector, vectors: F32Matrix, *, timeout_s: float) -> I32Vector:
        """Return the home of each id, (n,) int32, choosing one for those that have none.

        Args:
            ids: (n,) int64, no two equal.
            vectors: (n, dim) float32; decides the home of a new id under semantic partitioning.
            timeout_s: how long the directory has.

        Raises:
            RetryableError: a shard of the directory is not there; nothing was written, or homes
                only, which a later write will find.
        """
        if not self._settings.has_directory:
            return self._owners.place(ids, vectors)
        decides = self._trained if self.trained and self._trained else self._owners
        proposed = decides.place(ids, vectors)
        return self._directory("assign_homes", ids, proposed, timeout_s=timeout_s)

    def find(self, ids: I64Vector, *, timeout_s: float) -> I32Vector:
        """Return the home of each id, (n,) int32, `NOWHERE` for those never written.

        Raises:
            RetryableError: a shard of the directory is not there.
        """
        if not self._settings.has_directory:
            return self._owners.place(ids, np.empty((0, 0), np.float32))
        return self._directory("homes", ids, timeout_s=timeout_s)

    def train(self, sample: F32Matrix) -> None:
        """Train the semantic partitioner on a sample, unless it has been trained.

        Args:
            sample: (m, dim) float32; more than `sample_size` tells are thinned out.
        """
        step = -(-len(sample) // sample_size(self._settings.shards, self._settings.dim))
        thinned = np.ascontiguousarray(sample[::step])
        trained = self._supervisor.ask("train", self._settings.name, thinned)
        self._trained = partitioner_from_bytes(trained)

    @property
    def trained(self) -> bool:
        """Whether all is known that decides homes; before that, new ids are placed by hash."""
        if not self._settings.has_directory:
            return True
        if self._trained is None:
            stored = self._supervisor.ask("partitioner", self._settings.name)
            self._trained = None if stored is None else partitioner_from_bytes(stored)
        return self._trained is not None

    def _directory(self, method: str, ids: I64Vector, *columns: Any, timeout_s: float) -> I32Vector:
        """Ask the owner of each id; return the homes they tell, in the order of `ids`."""
        owners = self._owners.place(ids, np.empty((0, 0), np.float32))
        rows = dict(rows_by_shard(owners))
        told = self._shards.ask_all(
            method,
            {owner: (ids[at], *(column[at] for column in columns)) for owner, at in rows.items()},
            timeout_s=timeout_s,
        )
        homes = np.full(len(ids), NOWHERE, np.int32)
        for owner, at in rows.items():
            homes[at] = told[owner]
        return homes


def rows_by_shard(shards: I32Vector) -> Iterator[tuple[int, I64Vector]]:
    """Yield each shard there is in (n,) `shards` with the rows it stands in, ascending."""
    for shard in np.unique(shards).tolist():
        yield shard, np.flatnonzero(shards == shard)
