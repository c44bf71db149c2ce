"""Which shard a record belongs to."""

from __future__ import annotations

import hashlib
from typing import Literal, Protocol, Self

import msgspec
import numpy as np
import numpy.typing as npt

from paradox.core.errors import CorruptionError, InvalidArgument
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix, F64Matrix, I64Matrix, I64Vector
from paradox.routing.clustering import NearestCells, in_cell_space, kmeans
from paradox.routing.grouping import group_cells

_SAMPLE_A_SHARD = 8_192
_SAMPLE_BYTES = 256 << 20
_CELLS_A_SHARD = 64
_MEMBERS_A_CELL = 8
_MEMBERS_TO_SPARE = 16  # of a cell; with as many, half of the sample is kept for counting
_CELLS_AT_MOST = 4_096  # however many shards: the affinity of so many takes 134 MB
_MAGIC = b"PDXPART1"
_DIGEST_BYTES = 16


def sample_size(n_shards: int, dim: int) -> int:
    """Return how many vectors serve well to learn `n_shards` shards from; 256 MB at most.

    With fewer, shards cut through more neighbours and are less even: of GloVe in 16 shards the
    fullest holds 1.05 times the mean with 4,096 a shard, 1.12 times with 1,024.
    """
    return min(_SAMPLE_A_SHARD * n_shards, _SAMPLE_BYTES // (4 * dim))


class Partitioner(Protocol):
    """A rule that gives every record its shard, and never changes."""

    @property
    def n_shards(self) -> int:
        """Shards it spreads records over."""
        ...

    @property
    def by_id(self) -> bool:
        """Whether the id alone decides, so that a record is found again without its vector."""
        ...

    def place(self, ids: I64Vector, vectors: F32Matrix) -> npt.NDArray[np.int32]:
        """Return the shard of each record, (n,) int32.

        Args:
            ids: (n,) int64.
            vectors: (n, dim) float32; not looked at where `by_id`.
        """
        ...

    def to_bytes(self) -> bytes:
        """Return what `partitioner_from_bytes` makes the same partitioner from."""
        ...


class HashPartitioner:
    """Spreads records evenly by their id, whatever they mean: every query asks every shard."""

    by_id = True

    def __init__(self, n_shards: int) -> None:
        self.n_shards = _check_n_shards(n_shards)

    def place(self, ids: I64Vector, vectors: F32Matrix) -> npt.NDArray[np.int32]:
        """Return the shard of each record, (n,) int32; the same for ever."""
        return (_splitmix64(ids) % np.uint64(self.n_shards)).astype(np.int32)

    def to_bytes(self) -> bytes:
        """Return what `partitioner_from_bytes` makes the same partitioner from."""
        return _sealed(_Stored(kind="hash", n_shards=self.n_shards))


class SemanticPartitioner:
    """Keeps like vectors together: k-means cells, grouped into shards of like size.

    A record whose vector changes may be placed elsewhere, so whoever wants an id to have one record
    remembers where it was placed first; `cluster/placement.py` does.

    Attributes:
        metric: of the collection.
        cells: (c, dim) float32, centroids of the cells.
        shard_of_cell: (c,) int32.
    """

    by_id = False

    def __init__(
        self,
        cells: F32Matrix,
        shard_of_cell: npt.NDArray[np.int32],
        *,
        n_shards: int,
        metric: Metric,
    ) -> None:
        self.n_shards = _check_n_shards(n_shards)
        self.metric = metric
        self.cells = cells
        self.shard_of_cell = shard_of_cell
        self._nearest = NearestCells(cells)

    @classmethod
    def train(cls, sample: F32Matrix, n_shards: int, *, metric: Metric, seed: int = 0) -> Self:
        """Learn the cells and their shards from a sample of the vectors.

        Args:
            sample: (m, dim) float32, m >= 1, in any order without a period of two; `sample_size`
                tells how many serve well.
            n_shards: shards to spread over.
            metric: the collection's.
            seed: the same sample and seed give the same partitioner.

        Raises:
            InvalidArgument: an empty sample, or fewer than one shard.
        """
        _check_n_shards(n_shards)
        if len(sample) == 0:
            raise InvalidArgument("sample: expected at least one vector; got none")
        n_cells = min(_CELLS_A_SHARD * n_shards, len(sample) // _MEMBERS_A_CELL, _CELLS_AT_MOST)
        n_cells = max(n_cells, n_shards)
        # Cells fit the vectors they were learnt from better than others, and hold more of them
        # where there are few: so they are counted on vectors of their own.
        apart = len(sample) >= 2 * _MEMBERS_TO_SPARE * n_cells
        learnt, counted = (sample[::2], sample[1::2]) if apart else (sample, sample)
        cells = kmeans(learnt, n_cells, metric=metric, seed=seed).centroids
        ranked = NearestCells(cells).of(in_cell_space(counted, metric), rank=min(4, len(cells)))
        counts = np.bincount(ranked[:, 0], minlength=len(cells))
        groups = group_cells(cells, counts, _affinity(ranked, len(cells)), n_shards)
        return cls(cells, groups, n_shards=n_shards, metric=metric)

    def place(self, ids: I64Vector, vectors: F32Matrix) -> npt.NDArray[np.int32]:
        """Return the shard of each record, (n,) int32, by the cell nearest to its vector."""
        return self.shard_of_cell[self._nearest.of(in_cell_space(vectors, self.metric))[:, 0]]

    def to_bytes(self) -> bytes:
        """Return what `partitioner_from_bytes` makes the same partitioner from."""
        return _sealed(
            _Stored(
                kind="semantic",
                n_shards=self.n_shards,
                metric=self.metric,
                dim=self.cells.shape[1],
                cells=self.cells.astype("<f4").tobytes(),
                shard_of_cell=self.shard_of_cell.astype("<i4").tobytes(),
            )
        )


def partitioner_from_bytes(data: bytes) -> Partitioner:
    """Make a partitioner from what its `to_bytes` returned.

    Raises:
        CorruptionError: the bytes are not what `to_bytes` returned.
    """
    stored = _unsealed(data)
    if stored.kind == "hash":
        return HashPartitioner(stored.n_shards)
    cells = np.frombuffer(stored.cells, "<f4").astype(np.float32).reshape(-1, stored.dim)
    shard_of_cell = np.frombuffer(stored.shard_of_cell, "<i4").astype(np.int32)
    return SemanticPartitioner(cells, shard_of_cell, n_shards=stored.n_shards, metric=stored.metric)


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A partitioner as it is written; arrays are little-endian and row-major."""

    kind: Literal["hash", "semantic"]
    n_shards: int
    metric: Metric = "l2"
    dim: int = 0
    cells: bytes = b""
    shard_of_cell: bytes = b""


def _sealed(stored: _Stored) -> bytes:
    body = msgspec.msgpack.encode(stored)
    return _MAGIC + _digest(body) + body


def _unsealed(data: bytes) -> _Stored:
    digest, body = data[len(_MAGIC) :][:_DIGEST_BYTES], data[len(_MAGIC) + _DIGEST_BYTES :]
    if data[: len(_MAGIC)] != _MAGIC:
        raise CorruptionError(
            f"expected a partitioner, beginning with {_MAGIC!r}; got {data[:8]!r}", "partitioner", 0
        )
    if digest != _digest(body):
        raise CorruptionError(
            f"expected the checksum {_digest(body).hex()}; got {digest.hex()}",
            "partitioner",
            len(_MAGIC),
        )
    return msgspec.msgpack.decode(body, type=_Stored)


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES, key=_MAGIC).digest()


def _affinity(ranked: I64Matrix, n_cells: int) -> F64Matrix:
    """Return (c, c) float64: how often two cells are near the same point.

    Args:
        ranked: (m, r) int64, the nearest cells of each point.
        n_cells: how many there are.
    """
    affinity = np.zeros((n_cells, n_cells))
    for other in range(1, ranked.shape[1]):
        np.add.at(affinity, (ranked[:, 0], ranked[:, other]), 1.0 / other)
    return affinity + affinity.T


def _splitmix64(ids: I64Vector) -> npt.NDArray[np.uint64]:
    """Mix 64 bits (Steele, Lea and Flood 2014, the finalizer of SplitMix64)."""
    x = ids.astype(np.int64).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _check_n_shards(n_shards: int) -> int:
    if n_shards < 1:
        raise InvalidArgument(f"n_shards: expected 1 or more; got {n_shards}")
    return n_shards
