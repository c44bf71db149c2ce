"""What the indexes share that keep their vectors in `Rows`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from paradox.core.metric import Metric, check_metric
from paradox.core.types import F32Matrix, F32Vector, I64Vector, Neighbors
from paradox.index import scan
from paradox.index.container import MappedFile, made_from, read_container, write_container
from paradox.index.rows import Rows
from paradox.index.shapes import check_query

if TYPE_CHECKING:
    from paradox.index.backend import IndexBackend


class RowIndex(ABC):
    """Rows that can be scanned within a radius, handed over, and kept in one file.

    Args:
        dim: dimension of the vectors.
        metric: metric of the distances.
        rows: the vectors, none yet.

    Attributes:
        name: under which the registry knows the index.
    """

    name: ClassVar[str]

    def __init__(self, dim: int, metric: Metric, rows: Rows) -> None:
        self._dim = dim
        self._metric = metric
        self._rows = rows
        self._file: MappedFile | None = None

    @abstractmethod
    def contents(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what a saved index is made of: fields and sections."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what an equal index is made from, for `pickle` and `copy`."""
        self.check_file()
        fields, sections = self.contents()
        data = {name: section.tobytes() for name, section in sections.items()}
        return _from_bytes, (type(self), fields, data)

    @classmethod
    @abstractmethod
    def from_contents(cls, fields: dict[str, Any], sections: dict[str, memoryview]) -> Self:
        """Return the index that `contents` came from.

        Raises:
            InvalidArgument: they are those of no index; any other error says so too.
        """

    @classmethod
    def _empty(cls, fields: dict[str, Any]) -> Self:
        """Return an index without vectors that has the options of a saved one."""
        return cls(fields["dim"], check_metric(fields["metric"]), **fields["options"])

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        return self._dim

    @property
    def metric(self) -> Metric:
        """Metric the distances are in."""
        return self._metric

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def beside_writer(self) -> IndexBackend | None:
        """Return None: a writer must be alone; see `IndexBackend.beside_writer`."""
        return None

    def range_search(self, query: F32Vector, radius: float, *, limit: int) -> Neighbors:
        """Return the nearest `limit` vectors within `radius`; fewer than that are all of them."""
        self.check_file()
        check_query(query, self._dim)
        return scan.first(scan.within(self._rows, query, radius, self._metric), limit)

    def get(self, ids: I64Vector) -> tuple[I64Vector, F32Matrix]:
        """Return the known ones of `ids`, and their vectors as kept, in float32."""
        self.check_file()
        slots = self._rows.find(ids)
        slots = slots[slots >= 0]
        return self._rows.ids[slots], self._rows.matrix[slots].astype(np.float32, copy=False)

    def ids(self) -> I64Vector:
        """Return the ids of all vectors, in the order they are kept in."""
        self.check_file()
        return self._rows.ids[self._rows.live]

    def save(self, path: str | Path) -> None:
        """Write the index to one file, replacing it atomically."""
        self.check_file()
        write_container(Path(path), self.name, *self.contents())

    @classmethod
    def load(cls, path: str | Path, *, mmap: bool = False) -> Self:
        """Read what `save` wrote; `mmap` leaves the vectors in the file until the first `add`."""
        path = Path(path)
        fields, sections = read_container(path, cls.name, mmap=mmap)
        with made_from(path):
            index = cls.from_contents(fields, sections)
        index.is_read_from(path, sections)
        return index

    def is_read_from(self, path: Path, sections: dict[str, memoryview]) -> None:
        """Watch the file, where `sections` are mapped from one."""
        self._file = MappedFile.of(path, sections)

    def check_file(self) -> None:
        """Raise IndexFileCorrupt where the mapped file was cut off; before anything is read."""
        if self._file is not None:
            self._file.check()


def _from_bytes(kind: type[RowIndex], fields: dict[str, Any], data: dict[str, bytes]) -> RowIndex:
    return kind.from_contents(fields, {name: memoryview(section) for name, section in data.items()})
