"""One shard of a collection: an engine that opens as soon as it can, and tells what it holds."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from paradox.cluster.gate import WriteGate
from paradox.cluster.sealed import read_sealed
from paradox.cluster.settings import (
    DAMAGED_REMEDY,
    STATE_FILE,
    CollectionSettings,
    CollectionState,
)
from paradox.cluster.summaries import SAMPLE, SummaryKeeper
from paradox.core.errors import (
    CorruptionError,
    FilterError,
    ParadoxError,
    ShardUnavailable,
    StorageUnavailable,
)
from paradox.core.types import (
    F32Matrix,
    I32Vector,
    I64Vector,
    Neighbors,
    Record,
)
from paradox.memory import EngineStats, LatentMemoryEngine
from paradox.routing import SearchRequest, ShardSummary, summarize

_LOG = logging.getLogger(__name__)

_LOCK_PATIENCE_S = 30.0  # a killed predecessor is gone, and its lock with it, within a second
_RETRY_S = 0.2
_STAGE_S = 3600.0
_FEW_QUERIES = 32
_MISSING_REMEDY = "have this node see the storage, or restore a snapshot"


@dataclass(frozen=True, slots=True)
class ShardConfig:
    """What a shard is made from: small values only, so that it can always be made again.

    Attributes:
        settings: of its collection.
        storage: of its collection, an absolute path.
        number: which shard it is.
        threads: threads of one call.
    """

    settings: CollectionSettings
    storage: str
    number: int
    threads: int = 1

    def __str__(self) -> str:
        return f"shard {self.number} of {self.settings.name!r}"


@dataclass(frozen=True, slots=True, eq=False)
class Upserts:
    """Records on their way to one shard, checked and with exactly the declared payload types.

    Attributes:
        ids: (n,) int64, no two equal.
        vectors: (n, dim) float32.
        payloads: n payloads, or None for none.
        encoder_id: identity of the encoder that made the vectors.
        version: version of that encoder.
        timestamps: (n,) datetime64[us], or None for now.
        operation_id: names this write to this shard; a repetition changes nothing.
    """

    ids: I64Vector
    vectors: F32Matrix
    payloads: Sequence[Mapping[str, Any]] | None
    encoder_id: str
    version: int
    timestamps: npt.NDArray[np.datetime64] | None
    operation_id: bytes


@dataclass(frozen=True, slots=True)
class Written:
    """What a shard did with upserts or deletes.

    Attributes:
        inserted: records that were new.
        replaced: records that replaced one of the same id.
        deleted: records deleted.
        seq: the shard's last write afterwards; its summary covers this one when it says so.
    """

    inserted: int = 0
    replaced: int = 0
    deleted: int = 0
    seq: int = 0


class ShardClosed(ShardUnavailable):
    """The shard was closed for good, as before a drop; its actor is gone in a moment."""


class Shard:
    """An engine in the hands of a cluster. Runs without Ray; `ShardActor` is its shell.

    Making one never fails: Ray buries an actor for good whose constructor raises. What kept the
    engine from opening is raised by the calls, and each call tries again. A call that meets
    `close`, or comes after it, raises `ShardClosed`, whatever it would have failed with.

    Attributes:
        epoch: which life of the shard this is, 0 until it is open.

    Args:
        config: which shard it is.
        clock: seconds, monotonic.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        config: ShardConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._config = config
        self._clock = clock
        self._sleep = sleep
        self.epoch = 0
        self._gate = WriteGate(clock)
        self._opening = Lock()
        self._counting = Lock()
        self._n_searching = 0
        self._open: LatentMemoryEngine | None = None
        self._closed = False
        self._summaries = SummaryKeeper(
            self._summarize,
            seq=lambda: self._engine.last_seq,
            n_live=lambda: len(self._engine),
            clock=clock,
        )

    def search(self, request: SearchRequest) -> Neighbors:
        """Return the nearest records of this shard, with arrays of two axes."""
        with self._counted(), self._serving() as engine:
            try:
                return _query(engine, request)
            except FilterError:
                if not self._learn_columns(engine):
                    raise
                return _query(engine, request)

    def search_together(self, requests: Sequence[SearchRequest]) -> list[Neighbors | ParadoxError]:
        """Answer searches that came one by one; those that ask alike are one to the engine."""
        alike: dict[tuple[Any, ...], list[int]] = {}
        for at, request in enumerate(requests):
            key = (request.k, request.recall, request.effort, request.filter)
            alike.setdefault(key, []).append(at)
        answers: dict[int, Neighbors | ParadoxError] = {}
        for places in alike.values():
            answered = self._answered_as_one([requests[at] for at in places])
            answers |= zip(places, answered, strict=True)
        return [answers[at] for at in range(len(requests))]

    def answers_soon(self, request: SearchRequest) -> bool:
        """Tell whether a search takes no more than its share of a core and waits for nobody."""
        engine = self._open
        return (
            engine is not None
            and len(request.queries) <= _FEW_QUERIES
            and request.filter is None
            and engine.answers_soon(request.k, recall=request.recall, effort=request.effort)
        )

    def add(self, upserts: Upserts) -> Written:
        """Insert or replace records; durable when it returns."""
        with self._serving() as engine, self._gate.passing():
            report = engine.add(
                upserts.vectors,
                ids=upserts.ids,
                payload=upserts.payloads,
                encoder_id=upserts.encoder_id,
                version=upserts.version,
                timestamps=upserts.timestamps,
                operation_id=upserts.operation_id,
            )
            return Written(report.inserted, report.replaced, seq=engine.last_seq)

    def delete(self, ids: I64Vector, operation_id: bytes) -> Written:
        """Delete records, ignoring unknown ids; durable when it returns."""
        with self._serving() as engine, self._gate.passing():
            deleted = engine.delete(ids, operation_id=operation_id)
            return Written(deleted=deleted, seq=engine.last_seq)

    def get(self, ids: I64Vector) -> list[Record | None]:
        """Return records by id, None where there is none."""
        with self._serving() as engine:
            return engine.get(ids)

    def assign_homes(self, ids: I64Vector, proposed: I32Vector) -> I32Vector:
        """Return the home of each id, the proposed one where it had none; durable."""
        with self._serving() as engine, self._gate.passing():
            return engine.assign_homes(ids, proposed)

    def homes(self, ids: I64Vector) -> I32Vector:
        """Return the home of each id, -1 where it has none."""
        with self._serving() as engine:
            return engine.homes(ids)

    def summary(self, known: tuple[int, int] | None) -> ShardSummary | int:
        """Return what the shard holds.

        Args:
            known: epoch and seq of the summary the caller has, or None.

        Returns:
            The newest summary, or only the number of live records if the caller's is still it.
        """
        with self._serving():
            current = self._summaries.current()
        return current.n_live if known == (current.epoch, current.seq) else current

    def newest_summary(self) -> ShardSummary | None:
        """Return what the shard holds; None while the first summary is made; waits for nothing."""
        with self._serving():
            return self._summaries.newest()

    @property
    def number(self) -> int:
        """Which shard of its collection it is."""
        return self._config.number

    @property
    def load(self) -> int:
        """Searches under way."""
        return self._n_searching

    def stats(self) -> EngineStats:
        """Return the engine's figures."""
        with self._serving() as engine:
            return engine.stats()

    def checkpoint(self) -> None:
        """Keep the index as it is."""
        with self._serving() as engine:
            engine.checkpoint()

    def hold(self, holder: str, at_most_s: float) -> None:
        """Let writes wait, and return when none is under way; see `WriteGate`."""
        self._gate.hold(holder, at_most_s)

    def release(self, holder: str) -> None:
        """Let writes go on."""
        self._gate.release(holder)

    def stage(self, holder: str, folder: Path) -> None:
        """Write a copy of the engine, as it was when `hold` returned, into a new folder.

        Writes go on once it is whole: of what they are to this shard, the copies that the others
        are still making have nothing, as theirs wait.

        Raises:
            ShardUnavailable: writes have gone on since, or the shard is not the one that was held.
        """
        with self._gate.kept_shut(holder, _STAGE_S), self._serving() as engine:
            engine.stage(folder)

    def ready(self) -> None:
        """Return once the engine is open, or raise what keeps it from opening."""
        with self._serving():
            pass

    def close(self, *, checkpoint: bool) -> None:
        """Close for good; with a checkpoint the engine opens faster next time."""
        self._closed = True
        with self._opening:
            if self._open is not None:
                self._open.close(checkpoint=checkpoint)

    @property
    def _engine(self) -> LatentMemoryEngine:
        if self._open is None:
            with self._opening:
                self._check_serving()  # or a call would open it again, below a folder being deleted
                if self._open is None:
                    self._open = self._opened()
        self._check_serving()
        return self._open

    @contextmanager
    def _serving(self) -> Iterator[LatentMemoryEngine]:
        """Yield the engine; where the shard is closed meanwhile, say that and nothing else."""
        try:
            yield self._engine
        except Exception:  # the engine, its store and RocksDB each have their own for "closed"
            self._check_serving()
            raise

    def _check_serving(self) -> None:
        if self._closed:
            raise ShardClosed(f"{self._config} is closed")

    def _opened(self) -> LatentMemoryEngine:
        """Open the engine, waiting a while for a predecessor to let go of its files."""
        config = self._config
        deadline = self._clock() + _LOCK_PATIENCE_S
        while True:
            try:
                engine = open_engine(
                    config.settings, Path(config.storage), config.number, threads=config.threads
                )
            except StorageUnavailable as error:
                if self._clock() >= deadline:
                    raise
                _LOG.info("%s: %s; waiting", config, error)
                self._sleep(_RETRY_S)
                continue
            try:
                self.epoch = engine.begin_life()
                return engine
            except BaseException:
                engine.close(checkpoint=False)
                raise

    def _answered_as_one(
        self, requests: Sequence[SearchRequest]
    ) -> Iterator[Neighbors | ParadoxError]:
        """Answer requests that differ in their queries alone; a wrong one spoils no other."""
        try:
            queries = np.concatenate([request.queries for request in requests])
            found = self.search(replace(requests[0], queries=queries))
        except (ParadoxError, ValueError):
            for request in requests:
                try:
                    yield self.search(request)
                except ParadoxError as error:
                    yield error
            return
        ends = np.cumsum([len(request.queries) for request in requests])[:-1]
        for ids, distances in zip(
            np.split(found.ids, ends), np.split(found.distances, ends), strict=True
        ):
            yield replace(found, ids=ids, distances=distances)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._counting:
            self._n_searching += 1
        try:
            yield
        finally:
            with self._counting:
                self._n_searching -= 1

    def _learn_columns(self, engine: LatentMemoryEngine) -> bool:
        """Declare the columns that other shards have got values for; tell whether there are any."""
        path = Path(self._config.storage) / STATE_FILE
        state = read_sealed(path, CollectionState, remedy=DAMAGED_REMEDY)
        known = engine.schema.columns
        new = {c: kind for c, kind in state.columns.items() if c not in known} if state else {}
        if new:
            engine.declare(new)
        return bool(new)

    def _summarize(self) -> ShardSummary:
        with self._serving() as engine:
            seq = engine.last_seq  # before the sample: what is written meanwhile is not promised
            sample = engine.sample(SAMPLE)[1]
            return summarize(
                sample,
                shard=self._config.number,
                metric=engine.metric,
                n_live=len(engine),
                seq=seq,
                epoch=self.epoch,
                resident_bytes=engine.stats().index.resident_bytes,
                load=self._n_searching,
            )


def _query(engine: LatentMemoryEngine, request: SearchRequest) -> Neighbors:
    return engine.query(
        request.queries,
        request.k,
        recall=request.recall,
        effort=request.effort,
        filter=request.filter,
    )


def open_engine(
    settings: CollectionSettings, storage: Path, shard: int, *, threads: int = 1
) -> LatentMemoryEngine:
    """Open the engine of a shard in its collection's storage, or make it; see its `open`.

    Raises:
        CorruptionError: the shard has no folder there.
    """
    folder = settings.shard_folder(storage, shard)
    if not folder.is_dir():
        raise CorruptionError("the shard's folder is missing", folder, remedy=_MISSING_REMEDY)
    return LatentMemoryEngine.open(
        folder,
        dim=settings.dim,
        metric=settings.metric,
        index=settings.index,
        index_options=settings.index_options,
        schema=settings.schema,
        threads=threads,
    )
