"""Ids that come again in one source: of the rows that share one, only the last is written.

Batches are written side by side, so which of two rows is the last must be known before. That takes
reading the ids once more, and 8 bytes a row in Ray's object store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import ray

from paradox.cluster.actors import call
from paradox.cluster.columns import Recipe, ids_of
from paradox.cluster.pipeline import Piece
from paradox.cluster.sources import SourceFile, read
from paradox.core.types import I64Vector
from paradox.core.vectors import last_of_each

_ROWS_AT_ONCE = 65_536


def with_repeats(
    work: Sequence[Piece], source: Sequence[tuple[SourceFile, str]], recipe: Recipe
) -> list[Piece]:
    """Return pieces that know which of their rows come again.

    Args:
        work: pieces that are left to be written.
        source: all files with their keys, in order: also those that were written before.
        recipe: with a column of ids.

    Raises:
        SourceError: a file cannot be read.
    """
    read_ids: Any = ray.remote(_read_ids).options(num_cpus=0.5)
    ids = [read_ids.remote(file, recipe) for file, _ in source]
    find: Any = ray.remote(_find).options(num_cpus=0.5)
    rows = call(find.remote(*ids), "a task of the ingest")  # the ids themselves do not come here
    found = dict(zip(source, rows, strict=True))
    return [marked(piece, found[piece.file, piece.key]) for piece in work]


def repeated(ids: Sequence[I64Vector]) -> list[I64Vector]:
    """Return the rows of each file whose id comes again, in it or in a later one; ascending.

    Args:
        ids: (n,) of each file, in their order.
    """
    every = np.concatenate([np.zeros(0, np.int64), *ids])
    again = np.ones(len(every), np.bool_)
    again[last_of_each(every)] = False
    ends = np.cumsum([len(of_a_file) for of_a_file in ids])
    return [np.flatnonzero(part) for part in np.split(again, ends)[: len(ids)]]


def marked(piece: Piece, rows: I64Vector) -> Piece:
    """Return a piece that knows its repeated rows, of all there are in its file, ascending."""
    first, last = np.searchsorted(rows, piece.rows)
    return replace(piece, repeated=rows[first:last])


def _find(*ids: I64Vector) -> list[I64Vector]:
    return repeated(ids)


def _read_ids(file: SourceFile, recipe: Recipe) -> I64Vector:
    tables = read(file, columns=[str(recipe.id)], batch_size=_ROWS_AT_ONCE)
    parts = [ids_of(table, recipe, file=file.path, first_row=row) for row, table in tables]
    return np.concatenate([np.zeros(0, np.int64), *parts])
