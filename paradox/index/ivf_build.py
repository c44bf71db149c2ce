"""Building inverted lists from a stream, in memory that hardly grows with the vectors.

Every block is assigned, and appended to scratch files: vectors in the order they come, supplements
to one of some files, each of which holds those of some lists. These are small enough to be put in
the order of the lists, one after the other. In memory stay the codes: a bit a dimension and 12
bytes a vector, twice while the file is written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from paradox import kernels
from paradox.core.errors import InvalidArgument
from paradox.core.types import F32Matrix, I64Vector
from paradox.index.container import write_container
from paradox.index.ivf_file import dump
from paradox.index.ivf_source import Block
from paradox.index.mappable_rows import in_order
from paradox.kernels.ivf import Ivf

_N_FILES = 64


class FileBuild:
    """Writes an index file of lists that have been trained; a context that removes its scratch.

    Args:
        lists: trained, without rows.
        path: the file to write; scratch lies in its folder.
        dtype: of the vectors as kept.
        threads: threads that add.
    """

    def __init__(self, lists: Ivf, path: Path, dtype: npt.DTypeLike, *, threads: int) -> None:
        self._lists = lists
        self._path = path
        self._threads = threads
        self._dtype = np.dtype(dtype)
        self._record = np.dtype([("list", "<u4"), ("supplement", "u1", lists.row_bytes)])
        self._n = 0
        self._width = 1

    def __enter__(self) -> Self:
        self._closing = ExitStack()
        folder = TemporaryDirectory(dir=self._path.parent, prefix=f".{self._path.name}-")
        self._folder = Path(self._closing.enter_context(folder))
        names = ["rows", "ids", "norms", *(f"supplements-{i}" for i in range(_N_FILES))]
        self._files: dict[str, BinaryIO] = {
            name: self._closing.enter_context((self._folder / name).open("w+b")) for name in names
        }
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.close()

    def take(
        self,
        blocks: Iterable[Block],
        accept: Callable[[F32Matrix], npt.NDArray[Any]],
        show: Callable[..., None],
    ) -> None:
        """Append blocks: `accept` refuses vectors or returns what is kept, `show` takes counts.

        Raises:
            InvalidArgument: as `accept` does, having said where the block begins.
        """
        for ids, vectors in blocks:
            try:
                kept = accept(vectors)
            except InvalidArgument as error:
                raise type(error)(f"{error} of those from {self._n} on") from None
            self.add(ids, vectors, kept)
            show(self._n)
        show(self._n, "writing the file")

    def add(self, ids: I64Vector, vectors: F32Matrix, kept: npt.NDArray[Any]) -> None:
        """Append vectors (n, dim), and what is kept of them (n, width)."""
        numbers = np.arange(self._n, self._n + len(ids))
        lists = np.empty(len(ids), np.uint32)
        records = np.empty(len(ids), self._record)
        supplements = np.empty((len(ids), self._lists.row_bytes), np.uint8)
        self._lists.add_apart(vectors, numbers, self._threads, lists, supplements)
        order = np.argsort(lists, kind="stable")
        records["list"], records["supplement"] = lists[order], supplements[order]
        files = self._file_of(records["list"])
        ends = np.searchsorted(files, np.arange(_N_FILES + 1))
        for i in range(_N_FILES):
            self._files[f"supplements-{i}"].write(records[ends[i] : ends[i + 1]].tobytes())
        self._files["rows"].write(np.ascontiguousarray(kept).data)
        self._files["ids"].write(np.ascontiguousarray(ids, np.int64).data)
        self._files["norms"].write(kernels.row_norms(kept).data)
        self._n += len(ids)
        self._width = kept.shape[1]

    def write(self, kind: str, fields: dict[str, Any]) -> None:
        """Write the index file; `fields` are the index's own.

        Raises:
            InvalidArgument: an id came twice.
        """
        ids = self._mapped("ids", np.int64)
        ordered = in_order(ids)
        twice = np.flatnonzero(ordered["sorted_ids"][1:] == ordered["sorted_ids"][:-1])
        if len(twice):
            raise InvalidArgument(
                f"source: expected every id once; got {ordered['sorted_ids'][twice[0]]} twice"
            )
        shape, sections = dump(self._lists, with_supplements=False)
        with (self._folder / "supplements").open("wb") as file:
            for i in range(_N_FILES):
                records = self._mapped(f"supplements-{i}", self._record)
                order = np.argsort(records["list"], kind="stable")
                file.write(records["supplement"][order].tobytes())
                self._files[f"supplements-{i}"].truncate(0)
        sections["supplements"] = np.memmap(self._folder / "supplements", np.uint8, "r")
        rows = self._mapped("rows", self._dtype).reshape(-1, self._width)
        fields["lists"] = {**fields["lists"], **shape}
        kept = {"rows": rows, "ids": ids, "norms": self._mapped("norms", np.float64)}
        write_container(self._path, kind, fields, {**kept, **ordered, **sections})

    def _file_of(self, lists: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
        return lists.astype(np.int64) * _N_FILES // self._lists.n_lists

    def _mapped(self, name: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        file = self._files[name]
        file.flush()
        if not os.fstat(file.fileno()).st_size:
            return np.empty(0, dtype)
        return np.memmap(self._folder / name, dtype, "r")


@contextmanager
def bar(total: int | None, *, quiet: bool) -> Iterator[Any]:
    """Show on standard error how many vectors are in; yield what takes their number."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as shown:
        task = shown.add_task("learning lists", total=total)
        yield lambda n, doing="adding vectors": shown.update(task, completed=n, description=doing)
