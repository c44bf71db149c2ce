"""A collection in the hands of a client: the calls of an embedded engine, answered by shards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
import numpy as np
import ray

from paradox.adapt.encoders import Encoder
from paradox.cluster.arguments import (
    LONGEST_TIMEOUT_S,
    Arguments,
    absolute,
    as_texts,
    check_timeout,
    with_texts,
)
from paradox.cluster.failures import ActorGone
from paradox.cluster.launch import SupervisorLink
from paradox.cluster.link import CollectionLink
from paradox.cluster.placement import NOWHERE, rows_by_shard
from paradox.cluster.plane_shards import Transport
from paradox.cluster.settings import CollectionSettings
from paradox.cluster.supervisor import Description
from paradox.cluster.writer import Batch
from paradox.core.errors import ShardUnavailable
from paradox.core.types import AddReport, Neighbors, Record
from paradox.core.vectors import as_ids
from paradox.memory import EngineStats
from paradox.routing import Execution
from paradox.store.batch import check_encoder, check_operation_id
from paradox.store.payload import as_rows
from paradox.store.timestamps import as_microseconds

QUERY_TIMEOUT_S = 10.0
WRITE_TIMEOUT_S = 60.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CollectionStats:
    """Figures of a collection.

    Attributes:
        settings: what it is.
        storage: where its data are.
        n_records: live records of the shards that answered.
        shards: shard number to the figures of its engine.
        shards_missing: shards that did not answer.
        trained: whether new ids are placed by their vectors yet; always under hash partitioning.
    """

    settings: CollectionSettings
    storage: str
    n_records: int
    shards: dict[int, EngineStats]
    shards_missing: tuple[int, ...]
    trained: bool


class Collection:
    """A collection of a Ray cluster; `Client.create` and `Client.get` return it.

    Safe from many threads, and may be passed to Ray tasks and actors.
    """

    def __init__(self, description: Description, supervisor: SupervisorLink) -> None:
        self.supervisor = supervisor
        self._link = CollectionLink(description, supervisor)
        self._arguments = Arguments(description.settings)

    def __repr__(self) -> str:
        s = self.settings
        return f"<Collection {s.name!r}: dim {s.dim}, {s.metric}, {s.shards} shards>"

    def __reduce__(self) -> tuple[Any, ...]:
        encoded = msgspec.msgpack.encode(self._link.description)
        return _reopened, (encoded, self.supervisor.namespace, self.supervisor.transport)

    @property
    def name(self) -> str:
        """What it is called."""
        return self.settings.name

    @property
    def settings(self) -> CollectionSettings:
        """The settings it keeps for life."""
        return self._link.settings

    @property
    def created(self) -> bool:
        """Whether it was not there before the call that returned this."""
        return self._link.description.created

    # ---------------------------------------------------------------- writing

    def add(
        self,
        vectors: Any = None,
        *,
        texts: Sequence[str] | None = None,
        ids: Any = None,
        payload: Any = None,
        encoder_id: str = "",
        version: int = 0,
        timestamps: Any = None,
        operation_id: bytes | None = None,
        timeout_s: float = WRITE_TIMEOUT_S,
    ) -> AddReport:
        """Insert records, replacing those whose id is known; durable when it returns.

        Everything is checked before anything is written. Shards write side by side: if one stays
        away until the deadline, what the others wrote stays, and adding the same ids again
        completes it.

        Args:
            vectors: (n, dim) or (dim,); float32, float64, float16, int8, or bfloat16 as uint16.
            texts: n texts instead, where the collection has an encoder; kept in the payload
                column `text` unless the payload has one.
            ids: (n,) int64 other than -1; None assigns them. Where two are equal the last wins,
                and a warning says so.
            payload: n dicts, or a pandas, pyarrow or polars table of n rows.
            encoder_id: identity of the encoder that made the vectors; the collection's if "".
            version: version of that encoder.
            timestamps: n datetimes, or None for now.
            operation_id: a name for this call, with `ids`; repeating a call of a known name
                changes nothing and returns what the first returned.
            timeout_s: how long to try while shards restart.

        Raises:
            InvalidArgument: vectors, ids or another argument are not as described.
            PayloadError: the payload does not fit the declared columns.
            RetryableError: a shard stayed away, or its disk refused.
            CollectionNotFound: it has been dropped.
        """
        check_encoder(encoder_id, version)
        check_operation_id(operation_id)
        if texts is not None:
            texts = as_texts(texts)
        matrix = self._arguments.matrix(vectors, texts, "vectors")
        n = len(matrix)
        rows = None if payload is None else as_rows(payload, n)
        if texts is not None:
            rows = with_texts(self.settings, rows or [{}] * n, texts)
        timeout_s = check_timeout(timeout_s)
        moments = None if timestamps is None else as_microseconds(timestamps, n)
        batch = Batch(
            vectors=matrix,
            ids=None if ids is None else as_ids(ids, n),
            rows=rows,
            encoder_id=encoder_id or self.settings.encoder_id,
            version=version,
            timestamps=None if moments is None else moments.view("datetime64[us]"),
            operation_id=operation_id,
        )
        return self._link.writer.add(batch, timeout_s=timeout_s)

    def delete(
        self, ids: Any, *, operation_id: bytes | None = None, timeout_s: float = WRITE_TIMEOUT_S
    ) -> int:
        """Delete records by id, ignoring unknown ids; return how many were deleted.

        Raises:
            RetryableError: a shard stayed away; deleting the same ids again completes it.
            CollectionNotFound: the collection has been dropped.
        """
        check_operation_id(operation_id)
        checked, timeout_s = as_ids(ids), check_timeout(timeout_s)
        return self._link.writer.delete(checked, operation_id=operation_id, timeout_s=timeout_s)

    def train(self, sample: Any) -> None:
        """Train the semantic partitioner on a sample of the vectors to come.

        It happens by itself with the first `add` of 64 vectors or more for each shard, and only
        once: later calls change nothing. Of a larger, more typical sample come better shards.

        Args:
            sample: (m, dim) vectors, a thousand or more for each shard.
        """
        matrix = self._arguments.matrix(sample, None, "sample")
        self._link.writer.placement.train(matrix)

    @property
    def trained(self) -> bool:
        """Whether new ids are placed by their vectors yet; always under hash partitioning."""
        return self._link.writer.placement.trained

    # ---------------------------------------------------------------- reading

    def query(
        self,
        vectors: Any = None,
        k: int = 10,
        *,
        text: str | Sequence[str] | None = None,
        recall: float | None = None,
        effort: int | None = None,
        filter: str | None = None,
        timeout_s: float = QUERY_TIMEOUT_S,
        partial: bool = True,
        via_router: bool = False,
    ) -> Neighbors:
        """Return the k nearest records of each query, nearest first.

        Args:
            vectors: (n_queries, dim), or (dim,) for one query, whose answer is then
                one-dimensional.
            k: 1 to 10,000; where there are fewer, -1 pads the ids and +inf the distances, of a
                `certified` answer too.
            text: a text, or several, instead of vectors, where the collection has an encoder.
            recall: recall@k to reach, in (0, 1]; 0.95 if neither this nor `effort` is given. It
                decides how many shards are asked, and how much effort each of them makes.
            effort: the index's own knob instead; not both.
            filter: an SQL expression over payload columns, such as `year >= 2020`, that records
                must satisfy.
            timeout_s: return after this long with what has come.
            partial: whether an answer without some shards' part will do; it says which.
            via_router: let the collection's router plan and fan out; one call from here.

        Raises:
            InvalidArgument: an argument is not as described.
            FilterError: the filter is not one boolean expression over declared columns.
            ShardUnavailable: no shard answered; or some did not, and `partial` is False.
            DeadlineExceeded: no shard answered in time.
            CollectionNotFound: the collection has been dropped.
        """
        matrix = self._arguments.matrix(vectors, text, "queries")
        request = self._arguments.request(matrix, k, recall=recall, filter=filter, effort=effort)
        timeout_s = check_timeout(timeout_s)
        found = self._with_actors(
            lambda link: link.search(request, timeout_s=timeout_s, via_router=via_router)
        )
        if found.shards_missing and not partial:
            raise ShardUnavailable(
                f"shards {', '.join(map(str, found.shards_missing))} of {self.name!r} did not "
                f"answer; {found.coverage:.0%} of the records are covered without them"
            )
        found = replace(found, _fetch=self.get)
        single = isinstance(text, str) or (text is None and np.ndim(vectors) == 1)
        return found.first_row() if single else found

    def explain(
        self,
        vectors: Any = None,
        k: int = 10,
        *,
        text: str | Sequence[str] | None = None,
        recall: float | None = None,
        filter: str | None = None,
    ) -> Execution:
        """Answer as `query` does, and tell which shards were asked, why, and what each gave.

        Its `explain()` tells so in words; `answer`, of n queries always, `plan` and `by_shard` are
        the parts.

        Raises:
            ParadoxError: as `query` does.
        """
        matrix = self._arguments.matrix(vectors, text, "queries")
        request = self._arguments.request(matrix, k, recall=recall, filter=filter)
        done = self._with_actors(
            lambda link: link.searcher.explain(request, timeout_s=QUERY_TIMEOUT_S)
        )
        return replace(done, answer=replace(done.answer, _fetch=self.get))

    def get(self, ids: Any, *, timeout_s: float = QUERY_TIMEOUT_S) -> list[Record | None]:
        """Return the records of these ids, None where there is none.

        Raises:
            RecordCorrupt: a record is not what was written; names it.
            RetryableError: a shard stayed away.
            CollectionNotFound: the collection has been dropped.
        """
        checked, timeout_s = as_ids(ids), check_timeout(timeout_s)
        records: list[Record | None] = [None] * len(checked)
        homes = self._link.writer.placement.find(checked, timeout_s=timeout_s)
        rows = {home: at for home, at in rows_by_shard(homes) if home != NOWHERE}
        calls = {home: (checked[at],) for home, at in rows.items()}
        for home, found in self._link.shards.ask_all("get", calls, timeout_s=timeout_s).items():
            for row, record in zip(rows[home].tolist(), found, strict=True):
                records[row] = record
        return records

    def stats(self, *, timeout_s: float = QUERY_TIMEOUT_S) -> CollectionStats:
        """Return the collection's figures, without those of shards that stay away."""
        timeout_s = check_timeout(timeout_s)

        def figures(link: CollectionLink) -> CollectionStats:
            replies = link.shards.ask(
                "stats", dict.fromkeys(range(len(link.shards)), ()), timeout_s=timeout_s
            )
            shards = {s: r for s, r in sorted(replies.items()) if isinstance(r, EngineStats)}
            return CollectionStats(
                settings=link.settings,
                storage=link.description.storage,
                n_records=sum(stats.n_records for stats in shards.values()),
                shards=shards,
                shards_missing=tuple(sorted(set(replies) - set(shards))),
                trained=link.writer.placement.trained,
            )

        found = self._with_actors(figures)
        if found.shards_missing and self._link.shards.gone:
            found = self._with_actors(figures)  # has those that are gone started again, first
        return found

    def __len__(self) -> int:
        stats = self.stats()
        if stats.shards_missing:
            raise ShardUnavailable(
                f"shards {', '.join(map(str, stats.shards_missing))} of {self.name!r} did not "
                "tell how many records they hold"
            )
        return stats.n_records

    def snapshot(self, uri: str) -> None:
        """Copy the whole collection, as it is, to a folder or object store.

        What was acknowledged before the call is in it; writes go on meanwhile.

        Args:
            uri: where to; anything fsspec speaks. A finished snapshot is never overwritten.

        Raises:
            InvalidArgument: there is a snapshot at `uri` already.
            RetryableError: a shard stayed away.
        """
        self.supervisor.ask("snapshot", self.name, absolute(uri), timeout_s=LONGEST_TIMEOUT_S)

    # ---------------------------------------------------------------- async twins

    async def aadd(self, *args: Any, **kwargs: Any) -> AddReport:
        """Do what `add` does, from a coroutine."""
        return await asyncio.to_thread(self.add, *args, **kwargs)

    async def aquery(self, *args: Any, **kwargs: Any) -> Neighbors:
        """Do what `query` does, from a coroutine."""
        return await asyncio.to_thread(self.query, *args, **kwargs)

    async def aget(self, *args: Any, **kwargs: Any) -> list[Record | None]:
        """Do what `get` does, from a coroutine."""
        return await asyncio.to_thread(self.get, *args, **kwargs)

    async def adelete(self, *args: Any, **kwargs: Any) -> int:
        """Do what `delete` does, from a coroutine."""
        return await asyncio.to_thread(self.delete, *args, **kwargs)

    # ---------------------------------------------------------------- inside

    def encoder(self) -> Encoder:
        """Return the encoder of the collection's texts, loaded when first asked for.

        Raises:
            InvalidArgument: the collection has none, or this machine's makes other vectors.
        """
        return self._arguments.encoder()

    def _with_actors(self, action: Callable[[CollectionLink], T]) -> T:
        """Do something with the collection's actors, once more if they turn out to be gone.

        Actors are gone when the collection was dropped, or when someone killed them for good; the
        supervisor knows which, and starts them again in the second case.
        """
        link = self._link
        try:
            if not link.shards.gone:
                return action(link)
        except ActorGone:
            pass
        except ShardUnavailable:
            if not link.shards.gone:
                raise
        link.revive()
        return action(link)


def _reopened(description: bytes, namespace: str, transport: Transport) -> Collection:
    job_id = ray.get_runtime_context().get_job_id()
    return _in_this_process(description, namespace, transport, job_id)


@lru_cache(maxsize=32)
def _in_this_process(
    description: bytes, namespace: str, transport: Transport, job_id: str
) -> Collection:
    """Return a collection that was passed here; one for all tasks that run in this process."""
    decoded = msgspec.msgpack.decode(description, type=Description)
    return Collection(decoded, SupervisorLink(None, namespace=namespace, transport=transport))
