"""Files of records: found, fingerprinted, and read piece by piece.

A file is known by its content, not by its name: the same file under another path is the same
source, and a changed file is a new one.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePosixPath
from typing import IO, Any, Literal, TypeAlias

import fsspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from paradox.cluster.ledger import Rows
from paradox.core.errors import SourceError

Format = Literal["parquet", "csv", "json", "lance"]

_FORMAT_OF: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".lance": "lance",
}
_CHUNK = 4 << 20
_BLOCK = 16 << 20  # of text whose first block decides the types of the columns

Table: TypeAlias = Any
"""A pyarrow Table or RecordBatch."""
_Blocks: TypeAlias = Iterator[tuple[int, Table]]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file (of Lance, one folder) of records.

    Attributes:
        path: path or URI.
        format: how to read it.
    """

    path: str
    format: Format


def find_files(source: str | Sequence[str]) -> list[SourceFile]:
    """Return the files that paths or URIs stand for, those of a folder sorted.

    Args:
        source: files, globs, or folders, which are searched for files of a known suffix; anything
            fsspec speaks.

    Raises:
        SourceError: nothing is there, or a file is of an unknown suffix.
    """
    paths = [source] if isinstance(source, str) else [str(path) for path in source]
    return [file for path in paths for file in _expanded(path)]


def fingerprint(file: SourceFile) -> str:
    """Return a digest of a file's content.

    Raises:
        SourceError: it cannot be read.
    """
    digest = hashlib.blake2b(file.format.encode(), digest_size=16)
    with _reading(file):
        fs, root = fsspec.core.url_to_fs(file.path)
        for path in sorted(fs.find(root)) if file.format == "lance" else [root]:
            with fs.open(path, "rb") as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
    return digest.hexdigest()


def numbered(digests: Sequence[str]) -> list[str]:
    """Return a key for each file: its digest, and how many of its like come before it."""
    seen: Counter[str] = Counter()
    keys = []
    for digest in digests:
        keys.append(f"{digest}-{seen[digest]}")
        seen[digest] += 1
    return keys


def read(
    file: SourceFile,
    *,
    rows: Rows | None = None,
    columns: Sequence[str] | None = None,
    batch_size: int,
) -> Iterator[tuple[int, Table]]:
    """Yield tables of at most `batch_size` rows, each with the number of its first row.

    Args:
        file: what to read.
        rows: only these rows; None reads all.
        columns: only these columns; None reads all.
        batch_size: rows a table.

    Raises:
        SourceError: the file is damaged or ragged, or lacks a column; names it and the rows.
    """
    start, stop = rows or (0, None)
    position = start
    with _reading(file, lambda: position):
        for first, block in _READERS[file.format](file.path, rows, columns, batch_size):
            low = max(start - first, 0)
            high = block.num_rows if stop is None else min(stop - first, block.num_rows)
            for offset in range(low, high, batch_size):
                position = first + offset
                yield position, block.slice(offset, min(batch_size, high - offset))
            position = first + block.num_rows


def pieces(file: SourceFile, n_rows: int, *, at_least: int) -> list[Rows]:
    """Return ranges of all rows that can be read side by side at little extra cost.

    Args:
        file: the file.
        n_rows: rows it has.
        at_least: rows that a range should have at least.
    """
    if file.format != "parquet":
        return [(0, n_rows)] if n_rows else []
    with _reading(file), _opened(file.path) as stream:
        metadata = pq.ParquetFile(stream).metadata
        sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    ranges: list[Rows] = []
    start = stop = 0
    for size in sizes:
        stop += size
        if stop - start >= at_least:
            ranges.append((start, stop))
            start = stop
    return ranges if start == stop else [*ranges, (start, stop)]


def _expanded(path: str) -> list[SourceFile]:
    try:
        fs, root = fsspec.core.url_to_fs(path)
        found = fs.glob(root) if fsspec.core.has_magic(root) else [root]
        if not found or not fs.exists(found[0]):
            raise SourceError(f"source: expected a file, folder or glob; nothing is at {path!r}")
        files = [inner for one in found for inner in _inside(fs, one)]
    except (OSError, ImportError, ValueError) as error:
        raise SourceError(f"source {path!r}: {error}") from error
    if not files:
        raise SourceError(
            f"source: expected files that end in {', '.join(_FORMAT_OF)}; found none at {path!r}"
        )
    protocol = "" if "file" in fs.protocol else f"{path.partition('://')[0]}://"
    return [SourceFile(protocol + name, _FORMAT_OF[_suffix(name)]) for name in sorted(files)]


def _inside(fs: Any, path: str) -> list[str]:
    if _suffix(path) in _FORMAT_OF:
        return [path]
    if not fs.isdir(path):
        raise SourceError(
            f"source: expected a file that ends in {', '.join(_FORMAT_OF)}; got {path!r}"
        )
    below = fs.find(path)
    lance = {name[: name.index(".lance/") + 6] for name in below if ".lance/" in name}
    plain = {name for name in below if ".lance/" not in name and _suffix(name) in _FORMAT_OF}
    return [name for name in lance | plain if PurePosixPath(name).name[0] not in "._"]


def _suffix(path: str) -> str:
    return PurePosixPath(path.rstrip("/")).suffix.lower()


def _read_parquet(path: str, rows: Rows | None, columns: Any, batch_size: int) -> _Blocks:
    with _opened(path) as stream:
        file = pq.ParquetFile(stream)
        _require(columns, file.schema_arrow.names)
        groups, first, start = [], None, 0
        for group in range(file.metadata.num_row_groups):
            stop = start + file.metadata.row_group(group).num_rows
            if rows is None or (start < rows[1] and rows[0] < stop):
                groups.append(group)
                first = start if first is None else first
            start = stop
        batches = file.iter_batches(batch_size, row_groups=groups, columns=columns)
        yield from _counted(batches, first or 0)


def _read_csv(path: str, rows: Rows | None, columns: Any, batch_size: int) -> _Blocks:
    with _opened(path) as stream:
        reader = pyarrow.csv.open_csv(
            stream,
            pyarrow.csv.ReadOptions(use_threads=False, block_size=_BLOCK),
            pyarrow.csv.ParseOptions(
                delimiter="\t" if _suffix(path) == ".tsv" else ",", newlines_in_values=True
            ),
            pyarrow.csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False),
        )
        yield from _selected(reader, columns)


def _read_json(path: str, rows: Rows | None, columns: Any, batch_size: int) -> _Blocks:
    with _opened(path) as stream:
        if stream.read(1).strip() == b"[":
            stream.seek(0)
            yield from _selected([pa.Table.from_pylist(json.load(stream))], columns)
            return
        stream.seek(0)
        reader = pyarrow.json.open_json(
            stream, pyarrow.json.ReadOptions(use_threads=False, block_size=_BLOCK)
        )
        yield from _selected(reader, columns)


def _read_lance(path: str, rows: Rows | None, columns: Any, batch_size: int) -> _Blocks:
    try:
        lance = import_module("lance")
    except ImportError as error:
        raise SourceError(f"{path}: Lance needs a package; run: pip install pylance") from error
    dataset = lance.dataset(path)
    _require(columns, dataset.schema.names)
    start, stop = rows or (0, dataset.count_rows())
    scanner = dataset.scanner(
        columns=columns, offset=start, limit=stop - start, batch_size=batch_size
    )
    yield from _counted(scanner.to_batches(), start)


_READERS: dict[Format, Callable[[str, Rows | None, Any, int], _Blocks]] = {
    "parquet": _read_parquet,
    "csv": _read_csv,
    "json": _read_json,
    "lance": _read_lance,
}


def _selected(blocks: Any, columns: Sequence[str] | None) -> _Blocks:
    for first, block in _counted(blocks, 0):
        _require(columns, block.schema.names)
        yield first, block if columns is None else block.select(list(columns))


def _counted(blocks: Any, first: int) -> _Blocks:
    for block in blocks:
        yield first, block
        first += block.num_rows


def _require(columns: Sequence[str] | None, present: Sequence[str]) -> None:
    missing = [column for column in columns or () if column not in present]
    if missing:
        a_column = "a column" if len(missing) == 1 else "the columns"
        raise SourceError(
            f"expected {a_column} {', '.join(map(repr, missing))}; "
            f"it has {', '.join(map(repr, present))}"
        )


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    with fsspec.open(path, "rb", compression="infer") as stream:
        yield stream


@contextmanager
def _reading(file: SourceFile, position: Callable[[], int] | None = None) -> Iterator[None]:
    """Turn whatever a reader raises into an error that names the file, and the row it got to."""
    where = "" if position is None else f", from row {position()} on"
    try:
        yield
    except SourceError as error:
        if file.path in str(error):
            raise
        raise SourceError(f"{file.path}: {error}") from error
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        if position is not None:
            where = f", from row {position()} on"
        raise SourceError(f"{file.path}{where}: {error}") from error
