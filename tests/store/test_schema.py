"""Payload columns: what is declared, what fits, and what a misfit is told."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
import pytest

from paradox.core.errors import InvalidArgument, PayloadError
from paradox.store import Schema

MOMENT = datetime(2024, 2, 29, 12, 30, 1, 5, tzinfo=UTC)


class Colour(str, Enum):  # noqa: UP042  # a StrEnum's str() is its value, this one's is not
    RED = "red"


def admit(value: Any, kind: Any = None) -> Any:
    schema = Schema() if kind is None else Schema.of({"a": kind})
    return schema.admit([{"a": value}])[1][0]["a"]


def test_the_first_value_declares_a_column() -> None:
    schema, rows = Schema().admit(
        [{"a": None, "s": "x", "i": 1}, {"f": 1.5, "b": True, "t": MOMENT, "l": ["x"]}]
    )
    assert dict(schema.columns) == {
        "s": "str",
        "i": "int",
        "f": "float",
        "b": "bool",
        "t": "timestamp",
        "l": "list[str]",
    }
    assert rows[0] == {"a": None, "s": "x", "i": 1}
    assert schema.admit([{"s": "y", "i": None}])[0] is schema


def test_an_int_in_a_float_column_becomes_a_float() -> None:
    schema, _ = Schema().admit([{"a": 0.5}])
    value = schema.admit([{"a": 2}])[1][0]["a"]
    assert value == 2.0
    assert type(value) is float


def test_an_int_that_no_float_is_is_refused_in_a_float_column() -> None:
    assert admit(2**53, "float") == 2.0**53
    with pytest.raises(PayloadError, match=r"expected a float; got int 9007199254740993 in row 0"):
        admit(2**53 + 1, "float")
    with pytest.raises(PayloadError, match="no float64"):
        admit(-(2**63) + 1, "float")


def test_a_float_in_an_int_column_is_refused() -> None:
    schema, _ = Schema().admit([{"a": 2}])
    told = r"column 'a': expected int; got float \(0.5\) in row 1; .* by schema= or declare\(\)"
    with pytest.raises(PayloadError, match=told):
        schema.admit([{"a": 3}, {"a": 0.5}])
    with pytest.raises(PayloadError, match=r"got str \('x'\) in row 0$"):
        schema.admit([{"a": "x"}])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.int32(3), 3),
        (np.uint64(3), 3),
        (np.float32(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (Colour.RED, "red"),
        ([Colour.RED], ["red"]),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.datetime64("2024-02-29T12:30:01.000005"), MOMENT),
        (np.datetime64("2024-02-29"), datetime(2024, 2, 29, tzinfo=UTC)),
        (pd.Timestamp("2024-02-29T12:30:01.000005678"), MOMENT),
        (pd.Timestamp("2024-02-29T14:30:01.000005", tz="Europe/Helsinki"), MOMENT),
        (MOMENT.replace(tzinfo=None), MOMENT),
        (MOMENT.astimezone(timezone(timedelta(hours=-7))), MOMENT),
        (date(2024, 2, 29), datetime(2024, 2, 29, tzinfo=UTC)),
        (("a", "b"), ["a", "b"]),
        (np.array(["a", "b"]), ["a", "b"]),
        ([], []),
        (-(2**63), -(2**63)),
        (2**63 - 1, 2**63 - 1),
        (float("inf"), float("inf")),
        ("", ""),
    ],
)
def test_values_are_normalised(given: Any, expected: Any) -> None:
    value = admit(given)
    assert value == expected
    assert type(value) is type(expected)
    if isinstance(value, datetime):
        assert value.tzinfo is UTC


@pytest.mark.parametrize(
    "missing", [None, float("nan"), np.float64("nan"), np.float32("nan"), pd.NA, pd.NaT,
                np.datetime64("NaT")]
)  # fmt: skip
def test_what_is_missing_is_null_in_any_column(missing: Any) -> None:
    for kind in ("str", "int", "float", "bool", "timestamp", "list[str]"):
        assert admit(missing, kind) is None
    assert not Schema().admit([{"a": missing}])[0].columns


@pytest.mark.parametrize(
    "value",
    [
        b"bytes",
        {"a": 1},
        [1, 2],
        ["a", None],
        1j,
        object(),
        2**63,
        -(2**63) - 1,
        np.uint64(2**63),
        "\ud800",
        ["\ud800"],
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        np.datetime64("12024-01-01"),
        timedelta(1),
        np.array(3),
        np.array([["a"]]),
    ],
)
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(PayloadError, match=r"column 'a': .* row 1"):
        Schema().admit([{"a": None}, {"a": value}])


@pytest.mark.parametrize("name", ["", 3, None, "\ud800"])
def test_a_column_name_is_a_non_empty_str(name: Any) -> None:
    with pytest.raises(PayloadError, match="row 0: expected a non-empty column name"):
        Schema().admit([{name: 1}])
    with pytest.raises(InvalidArgument, match="expected a non-empty column name"):
        Schema.of({name: "int"})


def test_a_closed_schema_declares_nothing() -> None:
    schema = Schema.of({"year": int, "tags": list[str], "at": datetime, "x": "float"})
    assert dict(schema.columns) == {
        "year": "int", "tags": "list[str]", "at": "timestamp", "x": "float"
    }  # fmt: skip
    with pytest.raises(PayloadError, match=r"row 0: expected declared columns \('year', .*got 'y'"):
        schema.admit([{"y": None}])


@pytest.mark.parametrize("columns", [{"a": "number"}, {"a": dict}, {"a": []}, ["a"], {"a": 3}])
def test_a_schema_of_unknown_types_is_refused(columns: Any) -> None:
    with pytest.raises(InvalidArgument, match="schema: "):
        Schema.of(columns)


def test_a_schema_is_a_value() -> None:
    schema = Schema.of({"a": "int"})
    assert pickle.loads(pickle.dumps(schema)) == schema  # noqa: S301
    assert schema == Schema.of({"a": int})
    assert schema != Schema().admit([{"a": 1}])[0]  # which is open
