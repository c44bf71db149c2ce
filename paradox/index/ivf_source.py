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

from paradox.core.errors import InvalidArgument, SourceError
from paradox.core.types import F32Matrix, I64Vector
from paradox.core.vectors import as_ids, as_matrix

Block = tuple[I64Vector, F32Matrix]
Source = str | Path | npt.NDArray[Any] | Iterable[Block]
"""An array (n, dim), or the path of a `.npy` file of one: ids are the row numbers. Or the path of
a Parquet file with columns `id` and `vector`; or blocks of ids (n,) int64 and vectors (n, dim)."""

BLOCK_ROWS = 1 << 16
SAMPLE_ROWS = 1 << 19
"""Vectors to learn from, at most."""


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
        return _of_blocks(_pairs(source), n)
    path = Path(source)
    if path.suffix == ".npy":
        with _reading(path):
            matrix = np.lib.format.open_memmap(path, mode="r")
        return _of_matrix(matrix, seed)
    if path.suffix == ".parquet":
        with _reading(path):
            file = parquet.ParquetFile(path)
        return _of_parquet(file, path)
    raise InvalidArgument(f"source: expected blocks, a .npy or a .parquet file; got {path}")


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


def _pairs(blocks: Iterable[Block]) -> Iterator[Block]:
    for number, block in enumerate(blocks):
        if not isinstance(block, tuple | list) or len(block) != 2:
            kind = type(block).__name__
            raise InvalidArgument(
                f"source: expected blocks of (ids, vectors); block {number} is a {kind}"
            )
        yield block[0], block[1]


def _of_blocks(blocks: Iterator[Block], n: int | None) -> Stream:
    first: list[Block] = []
    n_sampled = 0
    for ids, vectors in blocks:
        first.append((ids, vectors))
        n_sampled += len(ids)
        if n_sampled >= SAMPLE_ROWS:
            break
    if not n_sampled:
        raise InvalidArgument("source: expected vectors; got none")
    dim = np.shape(first[0][1])[-1]
    sample = np.concatenate([as_matrix(vectors, dim) for _, vectors in first])
    return Stream(n or n_sampled, sample, chain(first, blocks), n is not None)


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

    def block(batch: pa.RecordBatch | pa.Table) -> Block:
        column = batch.column("vector")
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        flat = column.flatten().to_numpy(zero_copy_only=False)
        if not len(batch) or len(flat) % len(batch):
            raise InvalidArgument(f"source: expected vectors of one dimension in {name}")
        vectors = flat.reshape(len(batch), -1)
        return as_ids(batch.column("id").to_numpy()), as_matrix(vectors, vectors.shape[1])

    wanted = file.metadata.num_row_groups
    step = max(1, -(-n // SAMPLE_ROWS))
    groups = range(0, wanted, step)
    with _reading(path):
        tables = [file.read_row_group(i, columns=["id", "vector"]) for i in groups]
    parts = [block(table)[1] for table in tables]

    def blocks() -> Iterator[Block]:
        batches = file.iter_batches(BLOCK_ROWS, columns=["id", "vector"])
        while True:
            with _reading(path):  # what lies behind the footer is read now
                batch = next(batches, None)
            if batch is None:
                return
            yield block(batch)

    return Stream(n, np.concatenate(parts)[:SAMPLE_ROWS], blocks(), True)
