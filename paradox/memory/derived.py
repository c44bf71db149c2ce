"""What is made from the records, and follows them: the index and the payload columns."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from paradox import index as indexes
from paradox.core import config
from paradox.core.errors import StorageUnavailable
from paradox.core.shared_lock import SharedLock
from paradox.core.types import F32Matrix
from paradox.memory import checkpoint
from paradox.memory.checkpoint import Derived
from paradox.memory.settings import EngineSettings
from paradox.store import ChangeBlock, PayloadFrame, RecordBlock, RecordStore

_LOG = logging.getLogger(__name__)

_FOLDER = "checkpoints"
_CHECKPOINT_EVERY = 50_000


class DerivedData:
    """Index and payload columns that follow the change log of a store.

    While running and after a crash it is the same code that brings them up to date. Readers run
    side by side; what they see is the state between two writes. Who needs no payload, of an index
    that may be read beside a writer, needs not hold it: what is seen then of a block of changes may
    be its deletes alone, but of each record one state or the other.

    Args:
        made: the engine's settings.
        store: whose records they are made from.
        folder: the engine's folder, or None where nothing is kept.
        threads: of a change.
    """

    def __init__(
        self, made: EngineSettings, store: RecordStore, folder: Path | None, threads: int
    ) -> None:
        self._store = store
        self._threads = threads
        self._checkpoints = None if folder is None else folder / _FOLDER
        self._lock = SharedLock()
        # Held by whoever writes or keeps what is derived. A writer takes it before the other lock:
        # that one lets no reader pass a writer that waits, as one would while a checkpoint is made.
        self._changing = threading.Lock()
        self._now = nothing(made)
        self.checkpoint_seq = 0
        self._failed_seq = 0
        if folder is not None:
            with config.using_threads(threads):
                self._recover(folder)

    @property
    def seq(self) -> int:
        """The last write that is reflected."""
        return self._now.seq

    @property
    def now(self) -> Derived:
        """What is derived, for who holds it."""
        return self._now

    @property
    def is_changing(self) -> bool:
        """Whether somebody holds it alone, or waits to."""
        return self._changing.locked()

    def reading(self) -> threading.Lock:
        """Return what holds `now` as it is, by `with`."""
        return self._lock.reading()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold what is derived alone."""
        with self._changing, self._lock.writing(), config.using_threads(self._threads):
            yield

    def check(self, vectors: F32Matrix) -> None:
        """Refuse vectors that the index cannot keep, before anything is changed.

        Raises:
            InvalidArgument: names the first such row.
        """
        self._now.index.check(vectors)

    def catch_up(self, seq: int) -> int:
        """Reflect the writes up to `seq` at least; return how many that were.

        Concurrent writers become durable together, and one of them applies what all have written,
        in the order of their seqs.
        """
        if self._now.seq >= seq:
            return 0
        with self.changing():
            before = self._now.seq
            for block in self._store.changes(before):
                self._apply(block)
            if self._checkpoints is None:
                self._store.prune_changes(self._now.seq)  # nothing will ever be replayed
            return self._now.seq - before

    def checkpoint(self) -> None:
        """Keep what is derived, so that the next opening replays only what comes after.

        Does nothing where nothing is kept. Reads go on meanwhile, writes wait.

        Raises:
            StorageUnavailable: the disk refuses.
        """
        if self._checkpoints is None:
            return
        with self._changing:
            self._keep(self._checkpoints)

    def checkpoint_if_due(self) -> None:
        """Make a checkpoint if as many writes came as a quarter of the records, 50,000 at least."""
        since = max(self.checkpoint_seq, self._failed_seq)
        if self._now.seq - since < max(_CHECKPOINT_EVERY, len(self._now.index) // 4):
            return
        try:
            self.checkpoint()
        except Exception:  # the writes are durable all the same; replaying takes longer
            self._failed_seq = self._now.seq
            _LOG.warning("no checkpoint was made; the next one is tried later", exc_info=True)

    def stage(self, folder: Path) -> None:
        """Make a checkpoint, and hard-link it below another engine's folder."""
        if self._checkpoints is None:
            return
        with self._changing:
            self._keep(self._checkpoints)
            checkpoint.link_newest(self._checkpoints, folder / _FOLDER)

    def _keep(self, folder: Path) -> None:
        try:
            with config.using_threads(self._threads):
                checkpoint.save(folder, self._now)
        except OSError as error:
            raise StorageUnavailable(f"checkpoint below {folder}: {error}") from error
        self.checkpoint_seq = self._now.seq
        self._store.prune_changes(checkpoint.oldest_seq(folder))

    def _apply(self, block: ChangeBlock) -> None:
        if len(block.deletes):
            self._now.index.remove(block.deletes)
            self._now.payload.remove(block.deletes)
        if len(block.upserts):
            self._insert(block.upserts)
        self._now = replace(self._now, seq=block.last_seq)

    def _insert(self, block: RecordBlock) -> None:
        self._now.index.add(block.ids, block.vectors)
        self._now.payload.upsert(block.ids, block.payloads)

    def _recover(self, folder: Path) -> None:
        """Begin with the newest checkpoint, or make all of it again from the records.

        Checkpoints that are not to be trusted are removed, so that none is trusted later, and none
        is in the way of the one that takes its place.
        """
        empty, kept_below = self._now, folder / _FOLDER
        oldest, newest = self._store.stats().oldest_change, self._store.last_seq
        checkpoint.remove_unfinished(kept_below)
        checkpoint.remove(kept_below, after_seq=newest)  # of records that are no more
        kept = checkpoint.load(kept_below)
        if kept is not None and oldest <= kept.seq:
            self._now = kept
            self.checkpoint_seq = kept.seq
            _LOG.info("%s: replayed %d changes", folder, self.catch_up(newest))
            if self._fits():
                return
            _LOG.warning("%s: the checkpoint does not fit, made again from records", folder)
        if kept is not None:
            checkpoint.remove(kept_below)
        self._now = replace(empty, seq=newest)
        self.checkpoint_seq = 0
        for block in self._store.scan():
            self._insert(block)

    def _fits(self) -> bool:
        """Tell whether there are as many vectors and payloads as records, and no other columns."""
        n, columns = len(self._store), self._store.schema.columns
        if not len(self._now.index) == len(self._now.payload) == n:
            return False
        return self._now.payload.columns.items() <= columns.items()


def nothing(made: EngineSettings) -> Derived:
    """Return what is derived from no records.

    Raises:
        InvalidArgument: an option that the index does not take.
        UnknownBackend: there is no such index, or its package is not installed.
    """
    index = indexes.create(made.index, dim=made.dim, metric=made.metric, **made.index_options)
    return Derived(index, PayloadFrame(), 0)
