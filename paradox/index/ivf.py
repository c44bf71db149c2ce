"""Inverted lists of 1-bit codes with 8-bit residuals beside them, for very many vectors."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from paradox.core import config
from paradox.core.errors import InvalidArgument
from paradox.core.metric import Metric, check_metric
from paradox.core.types import NO_ID, F32Matrix, F32Vector, I64Vector, Neighbors
from paradox.core.vectors import (
    MAX_THREADS,
    as_ids,
    as_matrix,
    check_directions,
    check_recall,
    last_of_each,
)
from paradox.index import scan
from paradox.index.allow import Allow, AllowedRows, allowed_rows
from paradox.index.backend import IndexStats
from paradox.index.ivf_build import FileBuild, bar
from paradox.index.ivf_file import dump, restore
from paradox.index.ivf_source import Source, chosen, open_stream
from paradox.index.keeping import KeepingIndex, refuse_long
from paradox.index.mappable_rows import MappableRows
from paradox.index.native_search import nearest_rows
from paradox.index.options import (
    MAX_EFFORT,
    check_effort,
    check_int,
    check_known,
    check_threads,
    check_tuned,
)
from paradox.index.rows import Rows
from paradox.index.structured import CALL_ROWS, StructuredRows
from paradox.index.tune import smallest_effort
from paradox.kernels.ivf import empty_lists

_LEAST_ROWS = 2_000
_ROWS_A_LIST = 40
_LISTS_A_ROOT = 6.0
_SAMPLE_A_LIST = 48
"""Vectors that a list is learnt from, at most."""
_REGROWTH = 8
_MIN_STALE = 1_000
_MOST_ASKED = 2**31 - 1  # a range may hold more than a caller of an engine may ask for
_OUT_OF_ORDER = 6
"""Rows scanned in sequence in the time of one that a filter picks from a mapped file."""
_CODES_A_ROW = 16
"""Codes scanned, and a share of them measured, in the time of a row of a scan."""


class IvfIndex(KeepingIndex, StructuredRows):
    """Lists around centres; effort is the number of lists that a search looks into.

    Rows are scanned until there are 2,000 of them. Lists are learnt then, and again whenever there
    are eight times as many rows; between, lists that have become long are split.

    Other than most backends it stands by itself too (`build`), and checks what it is given.

    Args:
        dim: dimension of the vectors.
        metric: metric of the distances.
        keep: how vectors are kept beside the lists: "float32"; "float16", rounded; or "none": then
            distances are those of 8-bit residuals, some 0.1 % off, no answer is certified, and the
            greatest effort looks into all lists. These are learnt from the first call of `add`, and
            residuals are of the distance to their centres: vectors that begin an index should be
            like those that follow.
        lists: lists to learn; None takes 6 √n, of at least 40 rows each.
        seed: of all that is chosen at random; the lists do not depend on the threads.
        build_threads: threads that train and add; None takes the engine's, or `PARADOX_THREADS`,
            or 1.

    Raises:
        InvalidArgument: an option out of range.
    """

    name = "ivf"
    default_effort = 32
    _rows: Rows

    def __init__(
        self,
        dim: int,
        metric: Metric,
        *,
        keep: str = "float32",
        lists: int | None = None,
        seed: int = 0,
        build_threads: int | None = None,
    ) -> None:
        super().__init__(dim, metric, keep)
        self._rows = MappableRows(self._kept_dim, self._dtype)
        self._n_lists = None if lists is None else check_int("lists", lists, 1, 10_000_000)
        self._seed = check_int("seed", seed, 0, 2**31 - 1)
        self._build_threads = check_threads("build_threads", build_threads)
        self._clear()

    @classmethod
    def build(
        cls,
        source: Source,
        path: str | Path,
        *,
        metric: Metric,
        n: int | None = None,
        quiet: bool = False,
        **options: Any,
    ) -> Self:
        """Build an index in a file, in memory that hardly grows with the vectors, and map it.

        Args:
            source: an array, a `.npy` or Parquet file, or blocks of ids and vectors.
            path: the file to write, or to replace once it is whole; scratch files lie beside it
                meanwhile, as large as it.
            metric: metric of the distances.
            n: vectors of an iterator, where they are known: there are as many lists as suit these.
            quiet: show no progress bar.
            **options: of the index.

        Raises:
            InvalidArgument: an option out of range, an id that comes twice, no vectors, or such as
                cannot be kept; or no folder for the file.
            SourceError: a source that is not there, or cannot be read.
        """
        path = Path(path)
        check_known(cls.name, cls, options)
        cls(1, check_metric(metric), **options)  # refuses options before a source is read
        if not path.parent.is_dir():
            raise InvalidArgument(f"path: expected a file in a folder; {path.parent} is none")
        if path.is_dir():
            raise InvalidArgument(f"path: expected a file; {path} is a folder")
        n = None if n is None else check_int("n", n, 1, 2**31 - 1)
        stream = open_stream(source, n, seed=options.get("seed", 0))
        index = cls(stream.sample.shape[1], metric, **options)
        dtype, threads = index._dtype, index._threads()
        with bar(stream.n if stream.is_sized else None, quiet=quiet) as show:
            index._learn(stream.sample, np.arange(len(stream.sample)), stream.n)
            with FileBuild(index._lists, path, dtype, threads=threads) as file:
                file.take(stream.blocks, index._accepted, show)
                file.write(cls.name, index._fields({"trained_for": index._n_trained_for}))
        return cls.load(path, mmap=True)

    # Rows are known to the lists by their slots: there is no need for labels.

    def add(self, ids: I64Vector, vectors: F32Matrix) -> None:
        """Insert vectors, replacing those whose id is known; of ids that come twice the last holds.

        Raises:
            InvalidArgument: ids or vectors that cannot be, or as `check` does.
        """
        self.check_file()
        vectors = self._checked(vectors, "vectors")
        ids = as_ids(ids, len(vectors))
        last = last_of_each(ids)
        if len(last) < len(ids):
            ids, vectors = ids[last], vectors[last]
        self.check(vectors)
        kept = self._as_kept(vectors)
        with self._changing():
            if not self._keeps_vectors:
                self._put_in_lists(ids, kept, vectors)
            else:
                known = self._rows.find(ids)
                self._lists.remove(known[known >= 0])
                self._follow_rows(self._rows.put(ids, kept))

    def remove(self, ids: I64Vector) -> int:
        """Remove vectors by id; return how many there were.

        Raises:
            InvalidArgument: ids that cannot be.
        """
        self.check_file()
        ids = as_ids(ids)
        with self._changing():
            known = self._rows.find(ids)
            self._lists.remove(known[known >= 0])
            slots = self._rows.remove(ids)
            if self._keeps_vectors:
                self._follow_rows(slots[:0])
            elif not len(self._rows):
                self._clear()  # what comes next may be of other places
        return len(slots)

    def search(
        self,
        queries: F32Matrix,
        k: int,
        *,
        effort: int | None = None,
        allow: Allow | None = None,
        threads: int = 1,
    ) -> Neighbors:
        """Return the k nearest vectors of each query; see `IndexBackend.search`.

        Raises:
            InvalidArgument: queries or numbers that cannot be.
        """
        queries, k = self._checked(queries, "queries"), check_int("k", k, 1, _MOST_ASKED)
        threads = check_int("threads", threads, 1, MAX_THREADS)
        if self._keeps_vectors:
            return super().search(queries, k, effort=effort, allow=allow, threads=threads)
        self.check_file()
        effort = self._effort_or_default() if effort is None else check_effort(effort)
        allowed = None if allow is None else allowed_rows(allow, self._rows)
        if not self._ready:
            return scan.neighbors(self._rows, *scan.padding(len(queries), k), effort=effort)
        if self._metric == "l2":
            refuse_long(queries, self._metric, "queries")  # their squares are beyond float32
        n_possible = len(self) if allowed is None else len(allowed)
        found, has_gaps = self._lead(queries, k, effort, allowed, threads)
        while has_gaps and effort < self._lists.n_lists:
            effort *= 4
            lacking = np.flatnonzero(found.ids[:, min(k, n_possible) - 1] == NO_ID)
            more, has_gaps = self._lead(queries[lacking], k, effort, allowed, threads)
            found.ids[lacking], found.distances[lacking] = more.ids, more.distances
        return found

    def range_search(self, query: F32Vector, radius: float, *, limit: int) -> Neighbors:
        """Return the nearest `limit` vectors within `radius`; see `IndexBackend.range_search`.

        Raises:
            InvalidArgument: a query or a limit that cannot be.
        """
        query = self._checked(query, "query").reshape(-1)
        limit = check_int("limit", limit, 0, _MOST_ASKED)
        return super().range_search(query, radius, limit=limit)

    def tune(self, queries: F32Matrix, k: int, recall: float) -> int | None:
        """Set and return the smallest effort that reaches `recall`@k; see `IndexBackend.tune`.

        Under keep="none" the truth is what a search of all lists finds.

        Raises:
            InvalidArgument: queries or numbers that cannot be.
        """
        queries, k = self._checked(queries, "queries"), check_int("k", k, 1, _MOST_ASKED)
        recall = check_recall(recall)
        if self._keeps_vectors or not self._ready:
            return super().tune(queries, k, recall)
        self._effort = smallest_effort(
            lambda effort: self.search(queries, k, effort=effort),
            self.search(queries, k, effort=MAX_EFFORT),
            recall,
            greatest=self._lists.n_lists,
        )
        return self._effort

    def contents(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what a saved index is made of: fields and sections."""
        fields, sections = self._dump() if self._ready else ({}, {})
        return self._fields(fields), {**self._rows.sections(), **sections}

    @classmethod
    def from_contents(cls, fields: dict[str, Any], sections: dict[str, memoryview]) -> Self:
        """Return the index that `contents` came from."""
        index = cls._empty(fields)
        index._effort = check_tuned(fields["effort"])
        index._rows = MappableRows.from_sections(sections, index._kept_dim, index._dtype)
        if fields["lists"]:
            index._restore(fields["lists"], sections)
        index._use_rows()
        return index

    def stats(self) -> IndexStats:
        """Return the index's figures."""
        rows, (resident, mapped) = self._rows, self._lent_bytes
        return IndexStats(
            backend=self.name,
            n_live=len(rows),
            n_deleted=max(rows.n_free, self._lists.n_removed),
            resident_bytes=rows.resident_bytes + self._structure_bytes() + resident,
            mapped_bytes=rows.mapped_bytes + mapped,
            effort=self._effort,
        )

    # ---------------------------------------------------------------- inside

    @property
    def _searched(self) -> StructuredRows:
        return self

    def _clear(self) -> None:
        self._lists = empty_lists(self._dim, self._metric, seed=self._seed)
        self._n_trained_for = 0
        self._n_builds += 1
        self._fits = True  # unless a write has failed on the way
        self._lent_bytes = 0, 0  # of what lists were restored from, in memory and mapped

    @property
    def _kept_dim(self) -> int:
        return self._dim if self._keeps_vectors else 1  # or a byte a row, which stands for a vector

    def _checked(self, vectors: F32Matrix, where: str) -> F32Matrix:
        if np.shape(vectors) == (0, self._dim):  # none are no fault, as in any other backend
            return vectors
        matrix = as_matrix(vectors, self._dim, where=where)
        if self._metric == "cosine":
            check_directions(matrix, where=where)
        return matrix

    def _accepted(self, vectors: F32Matrix) -> npt.NDArray[Any]:
        if self._metric == "cosine":
            check_directions(vectors)
        if self._keeps_vectors:
            self.check(vectors)
        refuse_long(vectors, self._metric)  # all are shown to the lists
        return self._as_kept(vectors)

    def _as_kept(self, vectors: F32Matrix) -> npt.NDArray[Any]:
        if not self._keeps_vectors:
            return np.zeros((len(vectors), 1), np.int8)
        return self._rounded(vectors)

    def _options(self) -> dict[str, Any]:
        return {
            "keep": self._keep,
            "lists": self._n_lists,
            "seed": self._seed,
            "build_threads": self._build_threads,
        }

    def _fields(self, lists: dict[str, Any]) -> dict[str, Any]:
        return {
            "dim": self._dim,
            "metric": self._metric,
            "options": self._options(),
            "effort": self._effort,
            "lists": lists,
        }

    @property
    def _ready(self) -> bool:
        return self._lists.n_lists > 0 and (self._fits or not self._keeps_vectors)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Change rows and lists; what fails, as for want of memory, leaves all that can be found.

        Where vectors are kept, lists that do not fit them are looked into no more, and learnt anew
        by the next write. Others are all there is of the vectors, and whole whatever fails.
        """
        if self._keeps_vectors and not self._fits:
            self._clear()
        try:
            yield
            if self._lists.n_lists:
                self._lists.merge(self._n_lists_for(len(self._rows)), self._threads())
        except BaseException:
            self._fits = False
            raise
        finally:
            self._use_rows()

    def _put_in_lists(self, ids: I64Vector, kept: npt.NDArray[Any], vectors: F32Matrix) -> None:
        """Add vectors that lists alone keep: an id that is not in one is none."""
        slots = self._rows.put(ids, kept)
        try:
            if not self._ready and len(vectors):
                self._learn(vectors, np.arange(len(vectors)), len(vectors))
            self._take_in(slots, vectors)
        except BaseException:
            self._rows.remove(ids[~self._lists.holds(slots)])
            raise

    def _follow_rows(self, slots: I64Vector) -> None:
        """Show the lists rows they have not seen, or build them anew."""
        if self._must_rebuild():
            self._build_anew()
        elif self._lists.n_lists:
            self._show(slots)

    def _show(self, slots: I64Vector) -> None:
        slots = self._showable(slots)
        self._take_in(slots, self._rows.matrix[slots])

    def _take_in(self, labels: I64Vector, points: npt.NDArray[Any]) -> None:
        self._lists.add(np.ascontiguousarray(points, np.float32), labels, self._threads())

    def _let_go(self, labels: I64Vector) -> None:
        self._lists.remove(labels)

    def _use_rows(self) -> None:
        """Tell the lists where the rows are now: whatever changes them may move them."""
        matrix = self._rows.matrix if self._keeps_vectors else None
        self._lists.use_rows(matrix, self._rows.ids)

    def _threads(self) -> int:
        return self._build_threads or config.threads()

    @property
    def _n_shown(self) -> int:
        return len(self._lists)

    def has_effort(self, k: int) -> bool:
        """Tell whether effort makes a difference; see `IndexBackend.tunable`."""
        return self._ready if not self._keeps_vectors else super().has_effort(k)

    def _must_scan(
        self, queries: F32Matrix, k: int, effort: int, allowed: AllowedRows | None = None
    ) -> bool:
        none_kept = not self._keeps_vectors
        return not self._ready if none_kept else super()._must_scan(queries, k, effort, allowed)

    def _must_rebuild(self) -> bool:
        n = len(self._rows)
        if not self._lists.n_lists:
            return n >= _LEAST_ROWS
        return n >= _REGROWTH * self._n_trained_for or self._rows.n_free > max(_MIN_STALE, n)

    def _rebuild(self) -> None:
        self._clear()
        slots = self._showable(self._rows.live_slots())
        if (n := len(slots)) >= _LEAST_ROWS:
            self._learn(self._rows.matrix, slots, n)

    def _learn(self, matrix: npt.NDArray[Any], among: I64Vector, n: int) -> None:
        """Learn lists for n vectors from some of these rows of a matrix."""
        n_lists = self._n_lists_for(n)
        sample = matrix[among[chosen(len(among), _SAMPLE_A_LIST * n_lists, self._seed)]]
        points = np.ascontiguousarray(sample, np.float32)
        self._lists.train(points, n, n_lists, self._threads())
        self._n_trained_for = n

    def _n_lists_for(self, n: int) -> int:
        return self._n_lists or max(int(min(_LISTS_A_ROOT * n**0.5, n / _ROWS_A_LIST)), 1)

    def _lead(
        self, queries: F32Matrix, k: int, effort: int, allowed: AllowedRows | None, threads: int
    ) -> tuple[Neighbors, bool]:
        return nearest_rows(self._lists, self._rows, queries, k, effort, allowed, threads)

    def _rows_worth(self, k: int, effort: int) -> float:
        n_lists = max(self._lists.n_lists, 1)
        codes = len(self._rows) * effort / n_lists
        return CALL_ROWS + codes / _CODES_A_ROW + k

    def _scan_is_cheaper(self, k: int, effort: int, allowed: AllowedRows | None) -> bool:
        is_scan = super()._scan_is_cheaper(k, effort, None)
        if is_scan or allowed is None:
            return is_scan
        wider = int(effort * math.sqrt(len(self._rows) / max(len(allowed), 1)))
        return _OUT_OF_ORDER * len(allowed) <= self._rows_worth(k, wider)

    def _structure_bytes(self) -> int:
        return self._lists.nbytes

    def _dump(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        fields, sections = dump(self._lists)
        return {"trained_for": self._n_trained_for, **fields}, sections

    def _restore(self, fields: dict[str, Any], sections: dict[str, memoryview]) -> None:
        restore(self._lists, fields, sections, self._rows.ids)
        if not self._keeps_vectors and len(self._lists) != len(self._rows):
            raise InvalidArgument(
                f"ivf: expected {len(self._rows)} rows in the lists; got {len(self._lists)}"
            )
        self._n_trained_for = check_int("trained_for", fields["trained_for"], 1, 2**40)
        blocks, supplements = sections["blocks"], sections["supplements"]
        if isinstance(blocks.obj, mmap.mmap):
            self._lent_bytes = blocks.nbytes, supplements.nbytes
        else:
            self._lent_bytes = blocks.nbytes + supplements.nbytes, 0
