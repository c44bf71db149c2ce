"""Payload columns and their types, and the check that makes rows fit them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Literal, cast, get_args

import numpy as np

from paradox.core.errors import InvalidArgument, PayloadError
from paradox.core.types import Payload, PayloadValue
from paradox.store.timestamps import to_utc

ColumnType = Literal["str", "int", "float", "bool", "timestamp", "list[str]"]

COLUMN_TYPES: tuple[ColumnType, ...] = get_args(ColumnType)
INT64_MAX = 2**63 - 1

_BY_PYTHON_TYPE: dict[Any, ColumnType] = {
    str: "str",
    int: "int",
    float: "float",
    bool: "bool",
    datetime: "timestamp",
    list[str]: "list[str]",
}
_MISSING = ("NAType", "NaTType")  # pandas' own nulls, told by name so that pandas is not imported


@dataclass(frozen=True, slots=True)
class Schema:
    """Declared payload columns; a value, never changed: `admit` returns the next one.

    Attributes:
        columns: column name to its type.
        closed: True where only the columns given may be used; an open schema declares a column
            by its first value.
    """

    columns: Mapping[str, ColumnType] = field(default_factory=lambda: MappingProxyType({}))
    closed: bool = False

    @classmethod
    def of(cls, columns: Mapping[str, Any] | None) -> Schema:
        """Return a closed schema of these columns, or an open one for None.

        Args:
            columns: name to type: one of `COLUMN_TYPES`, or str, int, float, bool, datetime,
                `list[str]`.

        Raises:
            InvalidArgument: a name that is not a non-empty str, or an unknown type.
        """
        if columns is None:
            return cls()
        if not isinstance(columns, Mapping):
            raise InvalidArgument(f"schema: expected a dict of columns; got {columns!r:.80}")
        declared: dict[str, ColumnType] = {}
        for name, given in columns.items():
            if not _is_name(name):
                raise InvalidArgument(f"schema: expected a non-empty column name; got {name!r:.80}")
            kind = given
            if not isinstance(given, str):
                kind = _BY_PYTHON_TYPE.get(given) if isinstance(given, Hashable) else None
            if kind not in COLUMN_TYPES:
                raise InvalidArgument(
                    f"schema: column {name!r}: expected one of {', '.join(COLUMN_TYPES)}; "
                    f"got {given!r:.80}"
                )
            declared[name] = kind
        return cls(MappingProxyType(declared), closed=True)

    def __reduce__(self) -> tuple[Any, ...]:  # a mappingproxy does not pickle
        return _restore, (dict(self.columns), self.closed)

    def declare(self, columns: Mapping[str, Any]) -> Schema:
        """Return the schema with these columns in it too.

        Raises:
            InvalidArgument: a name that is not a non-empty str, or an unknown type.
            PayloadError: one is declared with another type, or is new to a closed schema.
        """
        asked = Schema.of(columns).columns
        for name, kind in asked.items():
            if self.closed and name not in self.columns:
                raise PayloadError(f"payload: expected {_one_of(self.columns)}; got {name!r:.80}")
            if self.columns.get(name, kind) != kind:
                raise PayloadError(
                    f"payload: column {name!r}: expected {self.columns[name]}; got {kind}"
                )
        if asked.keys() <= self.columns.keys():
            return self
        return Schema(MappingProxyType({**self.columns, **asked}), self.closed)

    def admit(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Schema, list[Payload]]:
        """Return rows whose values are of exactly the declared types, and the schema after them.

        numpy scalars become Python ones; NaN, NaT and pandas NA become null; an int in a float
        column becomes the float it is; a tuple of str becomes a list; timestamps become UTC.

        Args:
            rows: one mapping of column to value for each record.

        Raises:
            PayloadError: names the column, what was expected, what came and the row.
        """
        columns = dict(self.columns)
        admitted = [self._admit_row(row, number, columns) for number, row in enumerate(rows)]
        if len(columns) == len(self.columns):
            return self, admitted
        return Schema(MappingProxyType(columns), self.closed), admitted

    def _admit_row(
        self, row: Mapping[str, Any], number: int, columns: dict[str, ColumnType]
    ) -> Payload:
        admitted: Payload = {}
        for name, value in row.items():
            expected = columns.get(name)
            if _fits(value, expected):
                admitted[name] = value
                continue
            kind: ColumnType | None = None
            if value is not None:
                kind, value = _typed(name, value, number)
            if expected is None:
                if self.closed:
                    raise PayloadError(
                        f"payload: row {number}: expected {_one_of(columns)}; got {name!r:.80}"
                    )
                if not _is_name(name):
                    raise PayloadError(
                        f"payload: row {number}: expected a non-empty column name; got {name!r:.80}"
                    )
                if value is not None and kind is not None:
                    columns[name] = kind
            elif value is not None and kind != expected:
                if kind != "int" or expected != "float":
                    raise PayloadError(
                        f"payload: column {name!r}: expected {expected}; got {kind} "
                        f"({value!r:.80}) in row {number}{remedy(expected, kind)}"
                    )
                value = _as_float(name, cast(int, value), number)
            admitted[name] = value
        return admitted


def remedy(expected: ColumnType | None, came: ColumnType | None) -> str:
    """Return what to do about a value that does not fit its column, "" where nothing helps."""
    if (expected, came) != ("int", "float"):
        return ""
    return (
        "; the first value of a column declares it, and a column of both is float: declare it so "
        "before, by schema= or declare()"
    )


def _one_of(columns: Mapping[str, ColumnType]) -> str:
    return f"declared columns ({', '.join(map(repr, columns)) or 'there are none'})"


def _restore(columns: dict[str, ColumnType], closed: bool) -> Schema:
    return Schema(MappingProxyType(columns), closed)


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name != "" and is_text(name)


def is_text(value: str) -> bool:
    """Whether a str can be stored: lone surrogates have no UTF-8 form."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _fits(value: Any, expected: ColumnType | None) -> bool:
    """Whether a value needs no closer look: most need none, and this is most of the work."""
    kind = type(value)
    if kind is str:
        return expected == "str" and value.isascii()
    if kind is int:
        return expected == "int" and -INT64_MAX <= value <= INT64_MAX
    if kind is float:
        return expected == "float" and value == value
    if kind is bool:
        return expected == "bool"
    return value is None and expected is not None


def _as_float(name: str, value: int, row: int) -> float:
    converted = float(value)
    if converted != value:
        raise PayloadError(
            f"payload: column {name!r}: expected a float; got int {value} in row {row}, "
            "which no float64 is"
        )
    return converted


def _typed(name: str, value: Any, row: int) -> tuple[ColumnType, PayloadValue]:
    """Return a value that is not None with its column type, normalised; a null as itself."""
    kind = type(value)
    if kind is str:
        if is_text(value):
            return "str", value
        raise PayloadError(
            f"payload: column {name!r}: expected valid Unicode; got {value!r:.80} in row {row}"
        )
    if kind is int:
        if -INT64_MAX - 1 <= value <= INT64_MAX:
            return "int", value
        raise PayloadError(
            f"payload: column {name!r}: expected an int64; got {value!r:.80} in row {row}"
        )
    if kind is float:
        return "float", value if value == value else None
    if kind is bool:
        return "bool", value
    if kind.__name__ in _MISSING:
        return "str", None
    if isinstance(value, date | np.datetime64):
        try:
            return "timestamp", to_utc(value)
        except ValueError as error:
            raise PayloadError(f"payload: column {name!r}: {error}, in row {row}") from error
    if isinstance(value, np.longdouble):  # its item is itself
        return _typed(name, float(value), row)
    if isinstance(value, np.generic) and value.dtype.kind in "biufU":
        return _typed(name, value.item(), row)
    if isinstance(value, str):  # of an Enum, str() would give the member's name
        return _typed(name, str.__str__(value), row)
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1):
        items = list(value)
        if all(isinstance(item, str) and is_text(item) for item in items):
            return "list[str]", [str.__str__(item) for item in items]
    raise PayloadError(
        f"payload: column {name!r}: expected {', '.join(COLUMN_TYPES)} or null; "
        f"got {type(value).__name__} ({value!r:.80}) in row {row}"
    )
