"""Numbers of a filter against Python's, whose int and float compare exactly."""

from __future__ import annotations

import math
import operator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from paradox.core.errors import FilterError
from paradox.store import PayloadFrame, Schema

LOW, HIGH = -(2**63), 2**63 - 1
EXACT = 2**53
SCHEMA = Schema.of({"n": int, "m": int, "x": float, "y": float})

WHOLE = st.sampled_from(
    [None, 0, 1, -1, 2, -7, 10, EXACT, EXACT + 1, -EXACT - 1, LOW, LOW + 1, HIGH, HIGH - 1, 3**39]
)
FRACTION = st.sampled_from(
    [
        *(None, 0.0, -0.0, 0.5, -2.5, 1.0, 7.0, 1e300, 5e-324, math.inf, -math.inf),
        *(float(EXACT), EXACT / 2 + 0.5, 2.0**62, 2.0**63, -(2.0**63)),
    ]
)
ROW = st.fixed_dictionaries({"n": WHOLE, "m": WHOLE, "x": FRACTION, "y": FRACTION})
LITERAL = st.sampled_from(
    [
        *("0", "1", "-1", "2", "-3", str(EXACT), str(EXACT + 1), str(HIGH), str(LOW)),
        *("3.5", "-2.5", "0.0", "1e0", "9007199254740993.0", "9007199254740992.5"),
        *("9223372036854775807.0", "9223372036854775808.0", "-9223372036854775809.0"),
        *("1e300", "-1e300", "1e-300"),
    ]
)
VALUE: Any = st.recursive(
    st.sampled_from(["n", "m", "x", "y"]) | LITERAL,
    lambda inner: (
        st.tuples(st.sampled_from(["+", "-", "*", "/", "%"]), inner, inner)
        | st.tuples(st.just("negated"), inner)
        | st.tuples(st.just("ABS"), inner)
    ),
    max_leaves=3,
)
SIGN = st.sampled_from(["=", "<>", "!=", "<", "<=", ">", ">="])
CONDITION: Any = st.recursive(
    st.tuples(SIGN, VALUE, VALUE)
    | st.tuples(st.just("IN"), VALUE, st.lists(LITERAL, min_size=1, max_size=4))
    | st.tuples(st.just("BETWEEN"), VALUE, VALUE, VALUE)
    | st.tuples(st.just("IS NULL"), VALUE),
    lambda inner: (
        st.tuples(st.just("NOT"), inner) | st.tuples(st.sampled_from(["AND", "OR"]), inner, inner)
    ),
    max_leaves=3,
)
COMPARE = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def written(node: Any) -> str:
    """Write a value or a condition in the filter language."""
    match node:
        case str():
            return node
        case ("negated", inner):
            return f"- ({written(inner)})"
        case ("ABS", inner):
            return f"ABS({written(inner)})"
        case ("IN", left, literals):
            return f"{written(left)} IN ({', '.join(literals)})"
        case ("BETWEEN", left, low, high):
            return f"({written(left)} BETWEEN {written(low)} AND {written(high)})"
        case ("IS NULL", left):
            return f"({written(left)}) IS NULL"
        case ("NOT", inner):
            return f"NOT ({written(inner)})"
        case (sign, left, right):
            return f"({written(left)} {sign} {written(right)})"
    raise AssertionError(node)


def calculate(node: Any, row: dict[str, Any]) -> Any:
    """Return an int, a float, a Decimal for a literal that is none, or None."""
    match node:
        case "n" | "m" | "x" | "y":
            return row[node]
        case str():
            return int(node) if node.lstrip("-").isdigit() else Decimal(node)
        case ("negated", inner):
            value = calculate(inner, row)
            return None if value is None else -as_calculated(value)
        case ("ABS", inner):
            value = calculate(inner, row)
            return None if value is None else abs(as_calculated(value))
    sign, left, right = node
    a, b = calculate(left, row), calculate(right, row)
    if a is None or b is None:
        return None
    if sign in "/%" and b == 0:
        return None
    if sign != "/" and isinstance(a, int) and isinstance(b, int):
        if sign == "%":
            return int(math.copysign(1, a)) * (abs(a) % abs(b))
        return {"+": operator.add, "-": operator.sub, "*": operator.mul}[sign](a, b)
    x, y = float(a), float(b)
    with np.errstate(all="ignore"):
        result = {
            "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "%": np.fmod,
        }[sign](x, y)  # fmt: skip
    return None if np.isnan(result) else float(result)


def as_calculated(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def kind_of(node: Any) -> str:
    match node:
        case "n" | "m":
            return "int"
        case "x" | "y":
            return "float"
        case str():
            return "int literal" if node.lstrip("-").isdigit() else "float literal"
        case ("negated" | "ABS", inner):
            return kind_of(inner).split()[0]
        case ("/", _, _):
            return "float"
        case (_, left, right):
            kinds = {kind_of(left).split()[0], kind_of(right).split()[0]}
            return "float" if "float" in kinds else "int"
    raise AssertionError(node)


def compare(sign: str, left: Any, right: Any, row: dict[str, Any]) -> bool | None:
    a, b = calculate(left, row), calculate(right, row)
    if a is None or b is None:
        return None
    if {"int", "float"} & {kind_of(left), kind_of(right)} == {"float"}:
        a, b = float(a), float(b)  # beside a float, a literal is one
    return bool(COMPARE[sign](a, b))


def holds(node: Any, row: dict[str, Any]) -> bool | None:
    """Return what SQL's three-valued logic says of a condition."""
    match node:
        case ("NOT", inner):
            value = holds(inner, row)
            return None if value is None else not value
        case ("AND", left, right):
            both = holds(left, row), holds(right, row)
            return False if False in both else None if None in both else True
        case ("OR", left, right):
            either = holds(left, row), holds(right, row)
            return True if True in either else None if None in either else False
        case ("IS NULL", left):
            return calculate(left, row) is None
        case ("IN", left, literals):
            found = [compare("=", left, literal, row) for literal in literals]
            return None if None in found else any(found)
        case ("BETWEEN", left, low, high):
            ends = compare(">=", left, low, row), compare("<=", left, high, row)
            return False if False in ends else None if None in ends else True
        case (sign, left, right):
            return compare(sign, left, right, row)
    raise AssertionError(node)


def found(rows: list[dict[str, Any]], expression: str) -> list[int]:
    frame = PayloadFrame()
    frame.upsert(np.arange(len(rows)), rows)
    return sorted(frame.select(expression, SCHEMA).tolist())


@settings(max_examples=600, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=5), CONDITION)
def test_numbers_compare_as_python_compares_them(rows: list[Any], condition: Any) -> None:
    expression = written(condition)
    try:
        answer = found(rows, expression)
    except FilterError as error:
        assume("at most 127 bits" not in str(error))
        raise
    assert answer == [i for i, row in enumerate(rows) if holds(condition, row)]


NUMBERS = [{"n": n} for n in (EXACT, EXACT + 1, HIGH, LOW, -7, 7, None)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (f"n IN ({EXACT + 1}, 0.5)", [1]),
        (f"n NOT IN ({EXACT + 1}, 0.5)", [0, 2, 3, 4, 5]),
        (f"n = {EXACT + 1}.0", [1]),
        (f"n < {EXACT + 1}.0 AND n > 7.5", [0]),
        (f"n BETWEEN {EXACT}.5 AND {HIGH}.0", [1, 2]),
        ("n < 9223372036854775808.0 AND n > 0", [0, 1, 2, 5]),
        ("n + 1 > n", [0, 1, 2, 3, 4, 5]),
        ("n * 2 < n", [3, 4]),
        ("n * n > 0", [0, 1, 2, 3, 4, 5]),
        ("-n > 0", [3, 4]),
        ("ABS(n) > 7", [0, 1, 2, 3]),
        ("n - 1 < n", [0, 1, 2, 3, 4, 5]),
        ("n % 5 = -2", [4]),
        ("n % 5 = 2 AND n < 10", [5]),
        ("n % -5 = 2 AND n < 10", [5]),
        ("n % 2.5 = -2", [4]),
        ("n / 0 IS NULL", [0, 1, 2, 3, 4, 5, 6]),
        ("n / 0 > 1 OR n % 0 > 1 OR n / 0.0 > 1 OR n % 0.0 = 0", []),
        ("CAST('nan' AS FLOAT) IS NULL", [0, 1, 2, 3, 4, 5, 6]),
        ("CAST(n * 2 AS TEXT) = '18446744073709551614'", [2]),
        ("CAST(n * 2 AS INT) = n + n", [0, 1, 2, 3, 4, 5]),
        ("CAST(n * 2 AS BOOLEAN)", [0, 1, 2, 3, 4, 5]),
        (f"n * 2 IN ({2 * EXACT + 2}, 14, 0.25)", [1, 5]),
        ("ROUND(n * 2) = 14 AND FLOOR(n) = CEIL(n)", [5]),
        ("COALESCE(n * 4, 0) = 0", [6]),
    ],
)
def test_whole_numbers_are_exact(expression: str, expected: list[int]) -> None:
    assert found(NUMBERS, expression) == expected


@pytest.mark.parametrize(
    "literal", ["1e999", "-1e400", "1e99999999999999999999999", "9" * 400 + ".0"]
)
def test_a_number_beyond_float64_is_refused(literal: str) -> None:
    with pytest.raises(FilterError, match="expected a float64; got '"):
        found(NUMBERS, f"n < {literal}")


def test_what_128_bits_may_not_hold_is_refused_and_named() -> None:
    with pytest.raises(
        FilterError,
        match=r"at most 127 bits; got 'n \* n \* n' at character 5, which may have 190 .*AS FLOAT",
    ):
        found(NUMBERS, "NOT n * n * n > 5")
    assert found([{"n": 3}, {"n": 2}], "n * n * n * n * n > 100") == [0]
    assert found(NUMBERS, "CAST(n AS FLOAT) * n * n > 5") == [0, 1, 2, 5]


def test_how_large_a_column_is_is_known_of_later_rows_too() -> None:
    frame = PayloadFrame()
    frame.upsert(np.arange(1), [{"n": 3}])
    assert frame.select("n * n > 8", SCHEMA).tolist() == [0]
    frame.upsert(np.arange(1, 2), [{"n": HIGH}])
    assert sorted(frame.select("n * n > 8", SCHEMA).tolist()) == [0, 1]
    frame.remove(np.arange(1, 2))
    assert frame.select("n * n > 8", SCHEMA).tolist() == [0]


def test_a_remainder_of_floats_is_exact() -> None:
    rows = [{"x": x} for x in (1e18, 5.5, -5.5, math.inf, None)]
    assert found(rows, "x % 3 = 1") == [0]
    assert found(rows, "x % 2 = 1.5") == [1]
    assert found(rows, "x % 2 = -1.5") == [2]
    assert found(rows, "x % 2 IS NULL") == [3, 4]
