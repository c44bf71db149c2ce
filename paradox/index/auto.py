"""The index that chooses by size: a scan, a graph, then inverted lists."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, Protocol, Self

from paradox.core.errors import IndexFileCorrupt
from paradox.core.metric import Metric, check_metric
from paradox.core.types import F32Matrix, F32Vector, I64Vector, Neighbors
from paradox.index.allow import Allow
from paradox.index.backend import IndexBackend, IndexStats
from paradox.index.container import made_from, read_container, write_container
from paradox.index.exact import ExactIndex
from paradox.index.graph import GraphIndex
from paradox.index.ivf import IvfIndex
from paradox.index.options import check_int

_DEFAULT_EXACT_BELOW = 20_000
"""Rows of 384 float32 that one core scans in about 3 ms, ten times what a graph takes then."""
_DEFAULT_LISTS_FROM = 2_000_000
"""Rows of 384 dimensions that a graph takes 9 GB for, and six minutes on two cores to build; lists
take 4 GB, and half a minute."""


class _Inner(IndexBackend, Protocol):
    """What the chosen index must also do: hand its vectors over, and be part of a file."""

    def get(self, ids: I64Vector) -> tuple[I64Vector, F32Matrix]: ...

    def ids(self) -> I64Vector: ...

    def contents(self) -> tuple[dict[str, Any], dict[str, Any]]: ...

    @classmethod
    def from_contents(cls, fields: dict[str, Any], sections: dict[str, memoryview]) -> Self: ...

    def is_read_from(self, path: Path, sections: dict[str, memoryview]) -> None: ...

    def check_file(self) -> None: ...


_BY_SIZE: tuple[Any, ...] = (ExactIndex, GraphIndex, IvfIndex)
_IN_USE: dict[str, Any] = {index.name: index for index in _BY_SIZE}


class AutoIndex:
    """`exact` below a number of vectors, `graph` from there on, `ivf` from a greater one on.

    It goes back below half of a number. What a recall takes is for the index in use to find: at
    much effort `graph` goes from edges to a scan of 1-bit codes, and from that to an exact scan, by
    an estimate of which is faster. Figures name the index in use.

    Args:
        dim: dimension of the vectors.
        metric: metric of the distances.
        exact_below: vectors below which every search is a scan.
        lists_from: vectors from which they are kept in inverted lists; None takes 2,000,000, or
            `exact_below` where that is more.

    Raises:
        InvalidArgument: one of the numbers out of its range, or the second below the first.
    """

    name = "auto"

    def __init__(
        self,
        dim: int,
        metric: Metric,
        *,
        exact_below: int = _DEFAULT_EXACT_BELOW,
        lists_from: int | None = None,
    ) -> None:
        self._exact_below = check_int("exact_below", exact_below, 1, 2**31 - 1)
        if lists_from is None:
            lists_from = max(_DEFAULT_LISTS_FROM, self._exact_below)
        self._lists_from = check_int("lists_from", lists_from, self._exact_below, 2**31 - 1)
        self._inner: _Inner = ExactIndex(dim, metric)

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        return self._inner.dim

    @property
    def metric(self) -> Metric:
        """Metric the distances are in."""
        return self._inner.metric

    def __len__(self) -> int:
        return len(self._inner)

    @property
    def beside_writer(self) -> IndexBackend | None:
        """Return the index in use, if it is one that may be read beside a writer.

        It stays as it is when another takes its place.
        """
        return self._inner.beside_writer

    def check(self, vectors: F32Matrix) -> None:
        """Refuse vectors that the index in use cannot keep."""
        self._inner.check(vectors)

    def add(self, ids: I64Vector, vectors: F32Matrix) -> None:
        """Insert vectors, replacing those whose id is known; may change the index."""
        self._inner.add(ids, vectors)
        self._fit()

    def remove(self, ids: I64Vector) -> int:
        """Remove vectors by id; return how many there were; may change the index."""
        n_removed = self._inner.remove(ids)
        self._fit()
        return n_removed

    def search(
        self,
        queries: F32Matrix,
        k: int,
        *,
        effort: int | None = None,
        allow: Allow | None = None,
        threads: int = 1,
    ) -> Neighbors:
        """Return the k nearest vectors of each query; see `IndexBackend.search`."""
        return self._inner.search(queries, k, effort=effort, allow=allow, threads=threads)

    def range_search(self, query: F32Vector, radius: float, *, limit: int) -> Neighbors:
        """Return the nearest `limit` vectors within `radius`; see `IndexBackend.range_search`."""
        return self._inner.range_search(query, radius, limit=limit)

    @property
    def effort_key(self) -> Hashable:
        """Return that of the index in use; see `IndexBackend.effort_key`."""
        return self._inner.effort_key

    def tunable(self, k: int) -> bool:
        """Tell whether effort makes a difference now; see `IndexBackend.tunable`."""
        return self._inner.tunable(k)

    def tune(self, queries: F32Matrix, k: int, recall: float) -> int | None:
        """Set and return the smallest effort that reaches `recall`@k; None while exact."""
        return self._inner.tune(queries, k, recall)

    def save(self, path: str | Path) -> None:
        """Write the index to one file, replacing it atomically."""
        path = Path(path)
        self._inner.check_file()
        fields, sections = self._inner.contents()
        own = {
            "exact_below": self._exact_below,
            "lists_from": self._lists_from,
            "in_use": self._inner.stats().backend,
            "inner": fields,
        }
        write_container(path, self.name, own, sections)

    @classmethod
    def load(cls, path: str | Path, *, mmap: bool = False) -> Self:
        """Read what `save` wrote; `mmap` leaves the vectors in the file until the first `add`."""
        path = Path(path)
        fields, sections = read_container(path, cls.name, mmap=mmap)
        if str(fields.get("in_use")) not in _IN_USE:
            raise IndexFileCorrupt(
                f"expected an index of {', '.join(_IN_USE)}; got {fields.get('in_use')!r}",
                path,
                remedy="another version of Paradox wrote it: build the index again",
            )
        with made_from(path):
            inner = fields["inner"]
            index = cls(
                inner["dim"],
                check_metric(inner["metric"]),
                exact_below=fields["exact_below"],
                lists_from=fields.get("lists_from"),
            )
            index._inner = _IN_USE[fields["in_use"]].from_contents(inner, sections)
        index._inner.is_read_from(path, sections)
        return index

    def stats(self) -> IndexStats:
        """Return the figures of the index in use, under its own name."""
        return self._inner.stats()

    def _fit(self) -> None:
        """Change the index where there are enough vectors for another, or too few for this one."""
        n, limits = len(self), (self._exact_below, self._lists_from)
        at = _BY_SIZE.index(type(self._inner))
        enough = sum(n >= limit for limit in limits)
        few = sum(n >= limit // 2 for limit in limits)
        wanted = enough if enough > at else min(at, few)
        if wanted == at:
            return
        index: _Inner = _BY_SIZE[wanted](self.dim, self.metric)
        if n:
            index.add(*self._inner.get(self._inner.ids()))
        self._inner = index
