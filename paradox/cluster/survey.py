"""Before anything is written: every file is read, checked, and entered in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import ray

from paradox.cluster.actors import call
from paradox.cluster.columns import Recipe, column_types, records_of
from paradox.cluster.ledger import SourceRows, union, without
from paradox.cluster.pipeline import Piece, Plan
from paradox.cluster.settings import Columns
from paradox.cluster.sources import SourceFile, fingerprint, numbered, pieces, read
from paradox.core.errors import PayloadError
from paradox.store.schema import remedy

PIECE_BATCHES = 8
"""Batches that a piece of a file holds at least, where the file can be cut at all."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file whose every row is a record.

    Attributes:
        file: the file.
        key: its key in the ledger.
        known: what the ledger says of it.
    """

    file: SourceFile
    key: str
    known: SourceRows


def checked(files: list[SourceFile], plan: Plan, *, resume: bool) -> list[CheckedFile]:
    """Check files, declare their payload columns, and enter them in the ledger.

    Those that the ledger has been told of as they are to be read now were checked then.

    Args:
        files: of the source.
        plan: how they are to be read.
        resume: False forgets which rows are in.

    Raises:
        SourceError: one of them cannot be read, or a row is no record.
        PayloadError: a column is of another type than the collection's.
    """
    ask, name = plan.collection.supervisor.ask, plan.collection.name
    keys = numbered(_in_tasks(fingerprint, [(file,) for file in files]))
    known: list[SourceRows | None] = [ask("known_source", name, key) for key in keys]
    new = [n for n, rows in enumerate(known) if rows is None or plan.way not in rows.done]
    surveys = _in_tasks(_survey, [(files[n], plan.recipe, plan.batch_size) for n in new])
    _declare({files[n].path: columns for n, (_, columns) in zip(new, surveys, strict=True)}, plan)
    n_rows = {n: rows for n, (rows, _) in zip(new, surveys, strict=True)}
    for n, (file, key) in enumerate(zip(files, keys, strict=True)):
        rows = known[n]
        if n in n_rows or not resume:
            known[n] = ask(
                "begin_source",
                name,
                key,
                file.path,
                rows.n_rows if rows is not None else n_rows[n],
                plan.way,
                assign=plan.recipe.id is None,
                afresh=not resume,
            )
    return [
        CheckedFile(file, key, rows)
        for file, key, rows in zip(files, keys, known, strict=True)
        if rows is not None
    ]


def work_left(files: list[CheckedFile], plan: Plan) -> list[Piece]:
    """Return the rows that are still to be written, in pieces to be read side by side."""
    work = []
    for each in files:
        if not (done := union(each.known.done[plan.way])) or each.known.left(plan.way):
            at_least = PIECE_BATCHES * plan.batch_size
            for piece in pieces(each.file, each.known.n_rows, at_least=at_least):
                for rows in without(piece, done):
                    work.append(Piece(each.file, each.key, each.known.first_id, rows))
    return work


def _survey(file: SourceFile, recipe: Recipe, batch_size: int) -> tuple[int, Columns]:
    """Read a file in full; return how many records it has, and their payload columns."""
    n_rows, columns = 0, Columns()
    for row, table in read(file, columns=recipe.wanted(), batch_size=PIECE_BATCHES * batch_size):
        records_of(table, recipe, file=file.path, first_row=row, with_payload=False)
        if row == 0:
            columns = column_types(table.schema, recipe, file=file.path)
        n_rows = row + table.num_rows
    return n_rows, columns


def _declare(columns_by_file: dict[str, Columns], plan: Plan) -> None:
    """Declare the payload columns of some files.

    Raises:
        PayloadError: a column has another type already, in the collection or in another file.
    """
    wanted: Columns = {}
    for columns in columns_by_file.values():
        for column, kind in columns.items():
            if wanted.setdefault(column, kind) == "int" and kind == "float":
                wanted[column] = "float"
    declared = plan.collection.supervisor.ask("declare", plan.collection.name, wanted)
    for path, columns in columns_by_file.items():
        for column, kind in columns.items():
            expected = declared.get(column)
            if kind != expected and (kind, expected) != ("int", "float"):
                raise PayloadError(
                    f"{path}: column {column!r}: expected {expected or 'a declared column'}; "
                    f"got {kind}{remedy(expected, kind)}"
                )


def _in_tasks(function: Callable[..., T], arguments: Sequence[tuple[Any, ...]]) -> list[T]:
    """Return a function's results for many arguments, computed by Ray tasks.

    Raises:
        ParadoxError: the first that any of them raised.
    """
    task: Any = ray.remote(function)
    refs = [task.options(num_cpus=0.5).remote(*args) for args in arguments]
    return [call(ref, "a task of the ingest") for ref in refs]
