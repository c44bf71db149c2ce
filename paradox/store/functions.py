"""Values, functions and casts of the filter language, and what they are in Polars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from paradox.store.schema import INT64_MAX, ColumnType

Kind = ColumnType | Literal["null"]

DTYPES: Mapping[ColumnType, Any] = {
    "str": pl.String(),
    "int": pl.Int64(),
    "float": pl.Float64(),
    "bool": pl.Boolean(),
    "timestamp": pl.Datetime("us", "UTC"),
    "list[str]": pl.List(pl.String()),
}
"""The Polars dtype of each column type."""

NUMBERS: tuple[Kind, ...] = ("int", "float")


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One value of a filter.

    Attributes:
        kind: its type.
        built: what it is in Polars; None for a literal.
        at: position of its first character in the filter.
        value: a literal's value; a Decimal where it is a float.
        limit: gives the greatest magnitude that a whole number, if no literal, can have.
        wide: whether it is a whole number in 128 bits.
    """

    kind: Kind
    built: pl.Expr | None
    at: int
    value: Any = None
    limit: Callable[[], int] = lambda: INT64_MAX + 1
    wide: bool = False

    @property
    def literal(self) -> bool:
        """Whether it is a literal."""
        return self.built is None

    @property
    def expression(self) -> pl.Expr:
        """What it is in Polars; built late for a literal, as a list may have thousands."""
        if self.built is not None:
            return self.built
        if self.kind == "null":
            return pl.lit(None)
        if self.kind == "float":
            return pl.lit(float(self.value), DTYPES["float"])
        wide = self.kind == "int" and self.magnitude > INT64_MAX
        return pl.lit(self.value, pl.Int128() if wide else DTYPES[self.kind])

    @property
    def magnitude(self) -> int:
        """The greatest magnitude a whole number can have."""
        return abs(self.value) if self.literal else self.limit()

    def __str__(self) -> str:
        if not self.literal:
            return self.kind
        value = float(self.value) if self.kind == "float" else self.value
        return f"{self.kind} {value!r:.40}"


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the language.

    Attributes:
        parameters: for each argument, the kinds it may have.
        result: kind of its value, None for that of the first argument.
        build: Polars expression of its arguments'.
    """

    parameters: tuple[tuple[Kind, ...], ...]
    result: ColumnType | None
    build: Callable[..., pl.Expr]


def contains(items: pl.Expr, item: pl.Expr) -> pl.Expr:
    """Return whether lists contain an item; null where either is."""
    return items.list.contains(item, nulls_equal=False)


_TEXT: tuple[Kind, ...] = ("str",)
_LIST: tuple[Kind, ...] = ("list[str]",)

FUNCTIONS: Mapping[str, Function] = {
    "LOWER": Function((_TEXT,), "str", lambda text: text.str.to_lowercase()),
    "UPPER": Function((_TEXT,), "str", lambda text: text.str.to_uppercase()),
    "TRIM": Function((_TEXT,), "str", lambda text: text.str.strip_chars()),
    "LENGTH": Function((_TEXT,), "int", lambda text: text.str.len_chars().cast(pl.Int64)),
    "STARTS_WITH": Function((_TEXT, _TEXT), "bool", lambda text, part: text.str.starts_with(part)),
    "ENDS_WITH": Function((_TEXT, _TEXT), "bool", lambda text, part: text.str.ends_with(part)),
    "ABS": Function((NUMBERS,), None, lambda value: value.abs()),
    "ROUND": Function((NUMBERS,), None, lambda value: value.round()),
    "FLOOR": Function((NUMBERS,), None, lambda value: value.floor()),
    "CEIL": Function((NUMBERS,), None, lambda value: value.ceil()),
    "ARRAY_CONTAINS": Function((_LIST, _TEXT), "bool", contains),
    "ARRAY_LENGTH": Function((_LIST,), "int", lambda items: items.list.len().cast(pl.Int64)),
}

FIELDS: Mapping[str, Callable[[pl.Expr], pl.Expr]] = {
    "YEAR": lambda moment: moment.dt.year(),
    "QUARTER": lambda moment: moment.dt.quarter(),
    "MONTH": lambda moment: moment.dt.month(),
    "WEEK": lambda moment: moment.dt.week(),
    "DAY": lambda moment: moment.dt.day(),
    "HOUR": lambda moment: moment.dt.hour(),
    "MINUTE": lambda moment: moment.dt.minute(),
    "SECOND": lambda moment: moment.dt.second(),
}
"""What EXTRACT can take from a timestamp, in UTC."""

CAST_TYPES: Mapping[str, ColumnType] = {
    "INT": "int",
    "INTEGER": "int",
    "BIGINT": "int",
    "FLOAT": "float",
    "DOUBLE": "float",
    "REAL": "float",
    "TEXT": "str",
    "VARCHAR": "str",
    "STRING": "str",
    "BOOLEAN": "bool",
    "TIMESTAMP": "timestamp",
    "DATE": "timestamp",
}
"""Names that CAST knows its types by."""

CASTABLE: Mapping[ColumnType, tuple[Kind, ...]] = {
    "int": ("int", "float", "bool", "str"),
    "float": ("int", "float", "bool", "str"),
    "str": ("str", "int", "float", "bool"),
    "bool": ("bool", "int"),
    "timestamp": ("timestamp",),
    "list[str]": (),
}
"""What can be cast to each type; a string literal can be cast to a timestamp too."""
