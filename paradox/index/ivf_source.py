"""What inverted lists are built from: blocks of ids and vectors, and some to learn from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as parquet

from paradox.core.arrow import Place, ids_in, vectors_in, whole
from paradox.core.errors import InvalidArgument, SourceError
from paradox.core.types import F32Matrix, I64Vector
from paradox.core.vectors import as_ids, as_matrix

Block = tuple[I64Vector, F32Matrix]
Source = str | Path | npt.NDArray[Any] | Iterable[Block]
"""An array (n, dim), or the path of a `.npy` file of one: ids are the row numbers. Or the path of
a Parquet file with columns `id` and `vector`; or blocks of ids (n,) int64 and vectors (n, dim)."""

_EXPECTED = "an array (n, dim), blocks of (ids, vectors), a .npy or a .parquet file"

BLOCK_ROWS = 1 << 16
SAMPLE_ROWS = 1 << 19
"""Vectors to learn from, at most, and one a batch more."""
_SAMPLE_GROUPS = 64
"""Row groups that they are taken from, at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Blocks that come once.

    Attributes:
        n: the vectors there are, or those of the sample where nobody knows.
        sample: (m, dim) float32: vectors from all over a file, or the first of an iterator.
        blocks: all vectors, those of the sample among them.
        is_sized: whether `n` is what there are.
    """

    n: int
    sample: F32Matrix
    blocks: Iterator[Block]
    is_sized: bool


def open_stream(source: Source, n: int | None = None, *, seed: int = 0) -> Stream:
    """Open a source.

    Args:
        source: see `Source`.
        n: vectors of an iterator, where they are known.
        seed: of the choice of a sample.

    Raises:
        InvalidArgument: no vectors, blocks that are no pairs, or a file of another kind.
        SourceError: a file that is not there, or cannot be read.
    """
    if isinstance(source, np.ndarray):
        return _of_matrix(source, seed)
    if not isinstance(source, str | Path):
        return _of_blocks(source, n)
    path = Path(source)
    if path.suffix == ".npy":
        with _reading(path):
            matrix = np.lib.format.open_memmap(path, mode="r")
        return _of_matrix(matrix, seed)
    if path.suffix == ".parquet":
        with _reading(path):
            file = parquet.ParquetFile(path)
        return _of_parquet(file, path)
    raise InvalidArgument(f"source: expected {_EXPECTED}; got {path}")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # pyarrow's own are ValueErrors
        message = f"source: expected a whole {path.suffix} file; {path}: {error}"
        raise SourceError(message) from error


def chosen(n: int, wanted: int, seed: int) -> I64Vector:
    """Return up to so many different numbers below n, ascending."""
    if n <= wanted:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, wanted, replace=False))


def _of_blocks(source: Iterable[Block], n: int | None) -> Stream:
    blocks = _checked(source)
    first = list(_until(blocks, SAMPLE_ROWS))
    if not first:
        raise InvalidArgument("source: expected vectors; got none")
    sample = np.concatenate([vectors for _, vectors in first])
    return Stream(n or len(sample), sample, chain(first, blocks), n is not None)


def _checked(source: Iterable[Block]) -> Iterator[Block]:
    """Yield blocks as they should be: ids (m,) int64, vectors (m, dim) float32, m > 0."""
    try:
        blocks = iter(source)
    except TypeError as error:
        raise InvalidArgument(f"source: expected {_EXPECTED}; got {source!r:.40}") from error
    dim: int | None = None
    for number, block in enumerate(blocks):
        if not isinstance(block, tuple | list) or len(block) != 2:
            kind = type(block).__name__
            raise InvalidArgument(
                f"source: expected blocks of (ids, vectors); block {number} is a {kind}"
            )
        ids, given = block
        if not np.size(ids) and not np.size(given):
            continue
        where = f"source: block {number}"
        vectors = as_matrix(given, _last_axis(given, where) if dim is None else dim, where=where)
        dim = vectors.shape[1]
        yield as_ids(ids, len(vectors), where=f"{where}, ids"), vectors


def _last_axis(vectors: Any, where: str) -> int:
    """Return the dimension of vectors that nothing is known of."""
    try:
        shape: tuple[int, ...] = np.shape(vectors)
    except ValueError as error:
        raise InvalidArgument(f"{where}: expected rows of one length; got others") from error
    if not shape:
        raise InvalidArgument(f"{where}: expected vectors (n, dim); got {vectors!r:.40}")
    return shape[-1]


def _until(blocks: Iterator[Block], n_rows: int) -> Iterator[Block]:
    """Yield blocks until they have so many rows, or there are no more."""
    n = 0
    while n < n_rows and (block := next(blocks, None)) is not None:
        n += len(block[0])
        yield block


def _of_matrix(matrix: npt.NDArray[Any], seed: int) -> Stream:
    if matrix.ndim != 2 or not len(matrix):
        raise InvalidArgument(f"source: expected an array (n, dim), n > 0; got {matrix.shape}")
    n, dim = matrix.shape
    picked = chosen(n, SAMPLE_ROWS, seed)

    def blocks() -> Iterator[Block]:
        for begin in range(0, n, BLOCK_ROWS):
            rows = as_matrix(np.asarray(matrix[begin : begin + BLOCK_ROWS]), dim)
            yield np.arange(begin, begin + len(rows)), rows

    return Stream(n, as_matrix(matrix[picked], dim), blocks(), True)


def _of_parquet(file: parquet.ParquetFile, path: Path) -> Stream:
    name = str(path)
    columns = file.schema_arrow.names
    if not {"id", "vector"} <= set(columns):
        raise InvalidArgument(
            f"source: expected columns id and vector in {name}; got {', '.join(columns)}"
        )
    n = file.metadata.num_rows
    if not n:
        raise InvalidArgument(f"source: expected vectors in {name}; got none")

    def vectors_of(batch: pa.RecordBatch, dim: int | None, first_row: int) -> F32Matrix:
        column = whole(batch.column("vector"))
        return vectors_in(column, "vector", dim, Place(name, first_row))

    def batches(wanted: list[str], groups: list[int] | None = None) -> Iterator[pa.RecordBatch]:
        read = file.iter_batches(BLOCK_ROWS, row_groups=groups, columns=wanted)
        while True:
            with _reading(path):  # what lies behind the footer is read now
                batch = next(read, None)
            if batch is None:
                return
            if len(batch):
                yield batch

    def sampled() -> Iterator[F32Matrix]:
        """Yield as large a share of each of some row groups: those of rows all over the file."""
        dim: int | None = None
        lengths = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        starts = np.cumsum([0, *lengths])
        among = np.linspace(0, n - 1, _SAMPLE_GROUPS).astype(np.int64)
        groups = np.unique(np.searchsorted(starts, among, side="right") - 1).tolist()
        share = min(SAMPLE_ROWS / sum(lengths[i] for i in groups), 1)
        for group in groups:
            first_row = int(starts[group])
            for batch in batches(["vector"], [group]):
                vectors = vectors_of(batch, dim, first_row)
                dim, first_row = vectors.shape[1], first_row + len(batch)
                yield vectors[chosen(len(vectors), max(int(share * len(vectors)), 1), group)]

    sample = np.concatenate(list(sampled()))

    def blocks() -> Iterator[Block]:
        first_row = 0
        for batch in batches(["id", "vector"]):
            vectors = vectors_of(batch, sample.shape[1], first_row)
            yield ids_in(whole(batch.column("id")), "id", Place(name, first_row)), vectors
            first_row += len(batch)

    return Stream(n, sample, blocks(), True)
