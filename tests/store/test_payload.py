"""The forms in which payloads come."""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from paradox.core.errors import PayloadError
from paradox.store import Schema
from paradox.store.payload import as_rows

MOMENT = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
ROWS = [
    {"s": "a", "i": 1, "f": 0.5, "b": True, "t": MOMENT, "l": ["x", "y"]},
    {"s": None, "i": 2, "f": None, "b": False, "t": None, "l": []},
]


@pytest.mark.parametrize(
    "payload",
    [
        ROWS,
        tuple(ROWS),
        [MappingProxyType(row) for row in ROWS],
        pd.DataFrame(ROWS),
        pa.Table.from_pylist(ROWS),
        pa.RecordBatch.from_pylist(ROWS),
        pl.DataFrame(ROWS),
    ],
    ids=["list", "tuple", "mappings", "pandas", "arrow", "arrow batch", "polars"],
)
def test_every_form_gives_the_same_rows(payload: Any) -> None:
    schema, rows = Schema().admit(as_rows(payload, 2))
    assert rows == ROWS
    assert list(schema.columns.values()) == [
        "str",
        "int",
        "float",
        "bool",
        "timestamp",
        "list[str]",
    ]


def test_nullable_pandas_columns_keep_their_type() -> None:
    frame = pd.DataFrame({"i": pd.array([1, None], "Int64"), "s": pd.array(["x", None], "string")})
    schema, rows = Schema().admit(as_rows(frame, 2))
    assert rows == [{"i": 1, "s": "x"}, {"i": None, "s": None}]
    assert schema.columns["i"] == "int"


def test_no_payload_is_empty() -> None:
    assert as_rows(None, 2) == [{}, {}]
    assert as_rows([None, {"a": 1}], 2) == [{}, {"a": 1}]


def test_one_mapping_is_the_payload_of_one_vector() -> None:
    assert as_rows({"a": 1}, 1) == [{"a": 1}]
    with pytest.raises(PayloadError, match="expected 2 rows, one for each vector; got 1"):
        as_rows({"a": 1}, 2)


@pytest.mark.parametrize("payload", ["text", b"bytes", 3, iter([{}]), {1, 2}])
def test_other_forms_are_refused(payload: Any) -> None:
    with pytest.raises(PayloadError, match="expected a list of dicts"):
        as_rows(payload, 1)


def test_a_row_of_another_type_is_named() -> None:
    with pytest.raises(PayloadError, match="row 1: expected a dict; got str"):
        as_rows([{}, "x"], 2)


def test_decimals_in_a_table_are_refused_by_name() -> None:
    table = pa.table({"price": pa.array([1, 2], pa.decimal128(5, 2))})
    with pytest.raises(PayloadError, match="column 'price': expected str, int"):
        Schema().admit(as_rows(table, 2))


@pytest.mark.parametrize(
    "table",
    [
        pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]),
        pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
    ],
)
def test_two_columns_of_one_name_are_refused(table: Any) -> None:
    with pytest.raises(PayloadError, match="columns of different names; got 'a' twice"):
        as_rows(table, 1)
