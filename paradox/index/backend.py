"""What an index is: the protocol that every backend implements in full.

There are no default methods, so a new backend cannot skip one by accident; the contract suite in
`tests/contract/` runs over all of them.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, F32Vector, I64Vector, Neighbors
from paradox.index.allow import Allow


@dataclass(frozen=True, slots=True)
class IndexStats:
    """Figures of one index.

    Attributes:
        backend: name under which the registry knows it; under `auto`, that of the index in use.
        n_live: vectors that can be found.
        n_deleted: tombstones still taking up space.
        resident_bytes: memory held.
        mapped_bytes: file bytes mapped, paged in on demand.
        effort: the effort `tune` settled on, None before, or where there is no such knob.
    """

    backend: str
    n_live: int
    n_deleted: int
    resident_bytes: int
    mapped_bytes: int
    effort: int | None


class IndexBackend(Protocol):
    """A set of (id, vector) pairs that can be searched.

    Dtypes, shapes and numbers are checked before anything is changed (`paradox.index.shapes`), and
    refused as InvalidArgument. Values are trusted: vectors are C-contiguous, finite, and not zero
    under the cosine metric, ids come once in a call and are not -1; `paradox.core.vectors` makes
    them so. One writer at a time, and no reader beside a writer, but of what `beside_writer` gives:
    `memory/` sees to that. Readers may run side by side.
    """

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        ...

    @property
    def metric(self) -> Metric:
        """Metric the distances are in."""
        ...

    def __len__(self) -> int:
        """Number of live vectors."""
        ...

    @property
    def beside_writer(self) -> IndexBackend | None:
        """What may be read while this is written to: this, its part in use now, or nothing.

        May be asked for at any time. Its searches (`search`, `range_search`, `tunable`, `tune`) and
        its length, effort key and figures then never wait for a writer. A search sees all of what
        was written before it began and nothing of a write call that had not ended, whatever is
        written meanwhile: so a replaced id is found once, at a distance it had, and no removed one.
        """
        ...

    def check(self, vectors: F32Matrix) -> None:
        """Refuse vectors that `add` could not keep; called before they are made durable.

        Args:
            vectors: (n, dim) float32.

        Raises:
            InvalidArgument: names the first such row.
        """
        ...

    def add(self, ids: I64Vector, vectors: F32Matrix) -> None:
        """Insert vectors, replacing those whose id is known.

        Args:
            ids: (n,) int64, no two equal.
            vectors: (n, dim) float32, such as `check` lets pass.
        """
        ...

    def remove(self, ids: I64Vector) -> int:
        """Remove vectors by id, ignoring unknown ids; return how many were removed."""
        ...

    def search(
        self,
        queries: F32Matrix,
        k: int,
        *,
        effort: int | None = None,
        allow: Allow | None = None,
        threads: int = 1,
    ) -> Neighbors:
        """Return the k nearest vectors of each query, nearest first.

        Args:
            queries: (n_queries, dim) float32.
            k: 1 to 10,000; more than there are is padded with -1 and +inf.
            effort: the backend's own knob (ef, nprobe); None takes the tuned or default one.
            allow: only these ids may be returned; None allows all.
            threads: threads to spread the queries, or the scan, over.
        """
        ...

    def range_search(self, query: F32Vector, radius: float, *, limit: int) -> Neighbors:
        """Return the vectors nearer than or at `radius`, nearest first, at most `limit`.

        Args:
            query: (dim,) float32.
            radius: a distance of this index's metric (squared under l2).
            limit: 1 or more.

        Returns:
            One-dimensional and unpadded; `certified` tells whether none was missed.
        """
        ...

    @property
    def effort_key(self) -> Hashable:
        """What efforts are learnt for: another one, and what was learnt before is void."""
        ...

    def tunable(self, k: int) -> bool:
        """Tell whether effort makes a difference now: not while every search for k is a scan."""
        ...

    def tune(self, queries: F32Matrix, k: int, recall: float) -> int | None:
        """Set the smallest effort that reaches `recall`@k on `queries`, and return it.

        The truth is an exact scan of the vectors the index holds. A recall is reached when the
        mean over the queries exceeds it by two standard errors. While the index is not `tunable`
        nothing is set, and the effort there is, or None, returned.
        """
        ...

    def save(self, path: str | Path) -> None:
        """Write the index to one file, replacing it atomically."""
        ...

    @classmethod
    def load(cls, path: str | Path, *, mmap: bool = False) -> Self:
        """Read an index from a file that `save` wrote.

        Args:
            path: the file.
            mmap: map the vectors instead of reading them, where the backend can.

        Raises:
            IndexFileCorrupt: the file is truncated, altered, or of another kind or version;
                found before any parser sees the bytes.
        """
        ...

    def stats(self) -> IndexStats:
        """Return the index's figures."""
        ...
