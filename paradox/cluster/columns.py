"""From columns of a file to ids, vectors or texts, and payloads; every fault is told its row."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa

from paradox.cluster.settings import Columns
from paradox.cluster.sources import SourceFile, Table, read
from paradox.core.arrow import Place, ids_in, refuse_nulls, vectors_in, whole
from paradox.core.errors import SourceError
from paradox.core.types import F32Matrix, I64Vector, Payload
from paradox.store import ColumnType

_FIRST_ROWS = 100


@dataclass(frozen=True, slots=True)
class Recipe:
    """Which columns of a source become what.

    Attributes:
        dim: dimension of the vectors.
        cosine: whether zero vectors are refused.
        id: column of ids, or None where they are assigned.
        vector: column of vectors, or None where texts are encoded.
        text: column of texts, or None.
        payload: columns that are kept, or None for all others.
    """

    dim: int
    cosine: bool
    id: str | None
    vector: str | None
    text: str | None
    payload: tuple[str, ...] | None

    def way(self, encoder_id: str) -> str:
        """Return a digest of all that decides what a row becomes."""
        made = repr((self.id, self.vector, self.text, self.payload, encoder_id))
        return hashlib.blake2b(made.encode(), digest_size=8).hexdigest()

    def wanted(self) -> list[str] | None:
        """Return the columns to read, None for all."""
        if self.payload is None:
            return None
        used = [self.id, self.vector, self.text, *self.payload]
        return list(dict.fromkeys(column for column in used if column is not None))

    def payload_of(self, names: Sequence[str]) -> list[str]:
        """Return the columns that become payload, of those a table has."""
        if self.payload is not None:
            return list(self.payload)
        used = {self.id, self.vector if self.vector is not None else self.text}
        return [name for name in names if name not in used]


@dataclass(frozen=True, slots=True)
class SourceColumns:
    """Which columns of a source a caller has named; None where none was.

    Attributes:
        id: column of ids.
        vector: column of vectors.
        text: column of texts.
        payload: columns to keep.
    """

    id: str | None
    vector: str | None
    text: str | None
    payload: Sequence[str] | None

    def recipe(self, dim: int, metric: str | None, *, with_encoder: bool) -> Recipe:
        """Return what becomes of the columns in a collection.

        Args:
            dim: its dimension.
            metric: its metric, None where that is not known yet.
            with_encoder: whether it has an encoder.
        """
        vector, text = self.vector, self.text
        if vector is None and text is None:
            vector, text = (None, "text") if with_encoder else ("vector", None)
        return Recipe(
            dim=dim,
            cosine=metric == "cosine",
            id=self.id,
            vector=vector,
            text=text,
            payload=None if self.payload is None else tuple(self.payload),
        )


def check_first_rows(file: SourceFile, recipe: Recipe) -> None:
    """Check the first rows of a file, to find what is wrong with all of them.

    Raises:
        SourceError: see `records_of`.
    """
    for row, table in read(file, columns=recipe.wanted(), batch_size=_FIRST_ROWS):
        records_of(table, recipe, file=file.path, first_row=row, with_payload=False)
        break


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Rows of a source, ready to be written.

    Attributes:
        ids: (n,) int64, or None where they are assigned.
        vectors: (n, dim) float32, or None where texts are to be encoded.
        texts: n texts, or None where vectors are given.
        payloads: n payloads.
    """

    ids: I64Vector | None
    vectors: F32Matrix | None
    texts: list[str] | None
    payloads: list[Payload]


def records_of(
    table: Table, recipe: Recipe, *, file: str, first_row: int, with_payload: bool = True
) -> Records:
    """Return the records in a table.

    Args:
        table: some rows of a source.
        recipe: which columns become what.
        file: the source, for messages.
        first_row: number of the table's first row in it, for messages.
        with_payload: False leaves payloads empty, where only faults are looked for.

    Raises:
        SourceError: a column is missing or of another type, or a row's id, vector or text is
            null, not finite, or of another length; names file, row and column.
    """
    place = Place(file, first_row)
    names = table.schema.names
    for column in (recipe.id, recipe.vector, recipe.text, *(recipe.payload or ())):
        if column is not None and column not in names:
            known = ", ".join(map(repr, names))
            raise place.error(None, f"expected a column {column!r}; it has {known}")
    return Records(
        ids=None if recipe.id is None else ids_in(whole(table.column(recipe.id)), recipe.id, place),
        vectors=None if recipe.vector is None else _vectors(table, recipe, place),
        texts=None if recipe.vector is not None else _texts(table, str(recipe.text), place),
        payloads=_payloads(table, recipe.payload_of(names) if with_payload else []),
    )


def column_types(schema: pa.Schema, recipe: Recipe, *, file: str) -> Columns:
    """Return the payload columns of a source and their types, without those that are all null.

    Raises:
        SourceError: a column is of a type that payloads do not have.
    """
    types: Columns = {}
    for name in recipe.payload_of(schema.names):
        field = schema.field(name)
        kind = _column_type(field.type)
        if kind is None:
            raise SourceError(
                f"{file}: column {name!r}: expected strings, integers, floats, booleans, "
                f"timestamps or lists of strings as payload; got {field.type}"
            )
        if kind != "null":
            types[name] = kind
    if recipe.vector is None:
        types.setdefault("text", "str")
    return types


def ids_of(table: Table, recipe: Recipe, *, file: str, first_row: int) -> I64Vector:
    """Return the ids in a table that has a column of them; see `records_of`."""
    name = str(recipe.id)
    return ids_in(whole(table.column(name)), name, Place(file, first_row))


def _payloads(table: Table, names: list[str]) -> list[Payload]:
    if not names:
        return [{} for _ in range(table.num_rows)]
    rows: list[Payload] = table.select(names).to_pylist()
    return rows


def _texts(table: Table, name: str, place: Place) -> list[str]:
    column = whole(table.column(name))
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise place.error(None, f"column {name!r}: expected texts; got {column.type}")
    refuse_nulls(column, name, "a text", place)
    texts: list[str] = column.to_pylist()
    return texts


def _vectors(table: Table, recipe: Recipe, place: Place) -> F32Matrix:
    name = str(recipe.vector)
    column = whole(table.column(name))
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = _parsed(column, name, place)  # CSV has no lists
    matrix = vectors_in(column, name, recipe.dim, place)
    if recipe.cosine and not (directed := matrix.any(axis=1)).all():
        raise place.error(
            int(np.argmin(directed)),
            f"column {name!r}: expected non-zero vectors under the cosine metric; got zeros",
        )
    return matrix


def _parsed(column: Any, name: str, place: Place) -> Any:
    """Return JSON lists in strings as lists of float64."""
    parsed = []
    for row, text in enumerate(column.to_pylist()):
        try:
            parsed.append(None if text is None else msgspec.json.decode(text, type=list[float]))
        except msgspec.MsgspecError as error:
            raise place.error(
                row, f"column {name!r}: expected a JSON list of numbers; got {text!r:.40}"
            ) from error
    return pa.array(parsed, pa.list_(pa.float64()))


def _column_type(kind: pa.DataType) -> ColumnType | Literal["null"] | None:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_null(kind):
        return "null"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "str"
    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_integer(kind):
        return "int"
    if pa.types.is_floating(kind):
        return "float"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "timestamp"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return "list[str]" if _column_type(kind.value_type) == "str" else None
    return None
