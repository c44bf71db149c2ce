"""Which rows of which files are already in a collection: what lets an ingest go on after a kill."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from paradox.cluster.sealed import read_sealed, write_sealed

_REMEDY = (
    "remove the file: its source is then read again in full, and rows without ids get new ones"
)

Rows = tuple[int, int]
"""First row, and the row after the last."""


class SourceRows(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one file.

    Attributes:
        file: a path it was seen under, for the reader of the ledger.
        n_rows: rows it has.
        first_id: the id of its row 0, None before ids were assigned to its rows.
        done: way (a digest of the columns and the encoder by which rows become records) to the
            rows that are in, ascending and apart. A file that is here under a way was checked.
    """

    file: str
    n_rows: int
    first_id: int | None = None
    done: dict[str, list[Rows]] = {}

    def left(self, way: str) -> list[Rows]:
        """Return the rows that are not in."""
        return without((0, self.n_rows), self.done.get(way, ()))


class Ledger:
    """One small file for each source file, named after the source file's content.

    Args:
        folder: where the ledger's files are; made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def known(self, key: str) -> SourceRows | None:
        """Return what is known of a file by its key, or None."""
        return read_sealed(self._path(key), SourceRows, remedy=_REMEDY)

    def begin(
        self,
        key: str,
        file: str,
        n_rows: int,
        way: str,
        *,
        assign: Callable[[int], int] | None,
        afresh: bool,
    ) -> SourceRows:
        """Note that a file was checked and is going in; return what is known of it.

        Args:
            key: identifies the file's content.
            file: its path.
            n_rows: its rows.
            way: how its rows become records.
            assign: returns the first of so many new ids, which the rows keep for ever; None
                where they bring ids of their own.
            afresh: forget the rows that are in.
        """
        known = self.known(key) or SourceRows(file=file, n_rows=n_rows)
        first_id = known.first_id
        if first_id is None and assign is not None and n_rows:
            first_id = assign(n_rows)
        rows = [] if afresh else known.done.get(way, [])
        begun = msgspec.structs.replace(known, first_id=first_id, done={**known.done, way: rows})
        self._write(key, begun)
        return begun

    def finish(self, key: str, way: str, rows: Iterable[Rows]) -> None:
        """Note durably that rows of a file that was begun are in."""
        known = self.known(key)
        if known is not None:
            merged = union([*known.done.get(way, []), *rows])
            self._write(key, msgspec.structs.replace(known, done={**known.done, way: merged}))

    def _write(self, key: str, rows: SourceRows) -> None:
        self._folder.mkdir(exist_ok=True)
        write_sealed(self._path(key), rows)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def union(rows: Iterable[Rows]) -> list[Rows]:
    """Return the same rows as ranges that are ascending and apart."""
    merged: list[Rows] = []
    for start, stop in sorted(rows):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        elif start < stop:
            merged.append((start, stop))
    return merged


def without(rows: Rows, done: Iterable[Rows]) -> list[Rows]:
    """Return the ranges of `rows` that none of `done` covers; `done` as `union` returns it."""
    left: list[Rows] = []
    start, stop = rows
    for done_start, done_stop in done:
        if start < min(done_start, stop):
            left.append((start, min(done_start, stop)))
        start = max(start, done_stop)
    if start < stop:
        left.append((start, stop))
    return left
