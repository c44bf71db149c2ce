"""Numbers of a filter: whole ones exactly, fractions in float64.

A whole number is an int64, and in 128 bits where a calculation may leave that. How large it can
become is told by the greatest magnitudes of the columns, so an overflow is refused before anything
is computed. Beside a float, a whole number is compared as it is and not rounded to a float64, as
SQLite does it. What has no value is null, as it is in SQLite and DuckDB: a quotient or remainder
of zero, and NaN, which payloads hold as null too.

Every operand stands once in the expression that is made of it: one that stood twice would double
with each level, to four billion at 32. So what needs one twice is a function over its values, and
not over literals: with one in each, Polars 2.1 takes 16 s to plan a thousand such functions.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Literal

import numpy as np
import polars as pl

from paradox.store.functions import DTYPES, NUMBERS, Node
from paradox.store.schema import INT64_MAX

MAX_MAGNITUDE = 2**127 - 2**75
"""Of a calculated whole number: the greatest float64 that 128 bits hold is above it."""

_WIDE = pl.Int128()
_INT64, _FLOAT64, _BOOLEAN = pl.Int64(), pl.Float64(), pl.Boolean()
_EXACT_IN_FLOAT = 2**53
_FLOAT_LIMIT = math.nextafter(2.0**127, 0)

_Operand = pl.Expr | pl.Series
"""What is computed from the rows, or the one value of a literal."""

_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WHOLE: Mapping[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}
_FLOAT: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": lambda x, y: np.where(y == 0, np.nan, x / y),
    "%": np.fmod,  # Polars' own is x - floor(x / y) * y, which is 0 for 1e18 % 3
}
COMPARISONS = tuple(_COMPARE)
_MAGNITUDES: Mapping[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.add,
    "*": operator.mul,
    "%": min,
}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_CLOSED: Mapping[tuple[str, str], Literal["both", "left", "right", "none"]] = {
    (">=", "<="): "both",
    (">=", "<"): "left",
    (">", "<="): "right",
    (">", "<"): "none",
}


def calculated(left: Node, sign: str, right: Node) -> Node:
    """Return what `+`, `-`, `*`, `/` or `%` makes of two numbers; `%` has the sign of the left.

    A whole number whose magnitude may exceed `MAX_MAGNITUDE` must not be computed.
    """
    if sign == "/" or "float" in (left.kind, right.kind):
        compute = functools.partial(_in_float, _FLOAT[sign])
        value = _over(compute, [_float_operand(left), _float_operand(right)], _FLOAT64)
        return Node("float", value, left.at)
    magnitude = _MAGNITUDES[sign](left.magnitude, right.magnitude)
    largest = max(left.magnitude, right.magnitude, magnitude)
    wide = left.wide or right.wide or largest > INT64_MAX
    dtype = _WIDE if wide else _INT64
    if sign == "%":
        operands = [_whole_operand(left, dtype), _whole_operand(right, dtype)]
        value = _over(_whole_remainder, operands, dtype)
    else:
        value = _WHOLE[sign](left.expression.cast(dtype), right.expression.cast(dtype))
    return Node("int", value, left.at, limit=lambda: magnitude, wide=wide)


def negated(node: Node, at: int) -> Node:
    """Return a number with the other sign."""
    if node.kind == "float":
        return Node("float", -node.expression, at)
    return calculated(Node("int", None, at, 0), "-", node)


def absolute(node: Node) -> Node:
    """Return the magnitude of a whole number."""
    wide = node.wide or node.magnitude > INT64_MAX
    held = node.expression.cast(_WIDE) if wide else node.expression
    return Node("int", held.abs(), node.at, limit=lambda: node.magnitude, wide=wide)


def as_float(node: Node) -> pl.Expr:
    """Return a number in float64."""
    if node.literal:
        return pl.lit(float(node.value), _FLOAT64)
    return node.expression if node.kind == "float" else node.expression.cast(_FLOAT64)


def magnitude_of(values: pl.Series) -> int:
    """Return the greatest magnitude of whole numbers, 0 where all are null."""
    extremes: list[Any] = [values.min(), values.max()]
    return max((abs(value) for value in extremes if value is not None), default=0)


def compared(left: Node, sign: str, right: Node) -> pl.Expr:
    """Return how two values of kinds that compare do so."""
    if left.literal and right.literal:
        return pl.lit(_COMPARE[sign](left.value, right.value))
    if left.literal:
        left, sign, right = right, _MIRRORED.get(sign, sign), left
    sign, right, mixed = _beside(left, sign, right)
    if mixed:
        compare = functools.partial(_compare, [sign])
        return _over(compare, [left.expression, right.expression], _BOOLEAN)
    found: pl.Expr = _COMPARE[sign](left.expression, right.expression)
    return found


def is_between(node: Node, low: Node, high: Node) -> pl.Expr:
    """Return whether a value is between two of kinds that compare with it, or is one of them."""
    if node.literal:
        return compared(node, ">=", low) & compared(node, "<=", high)
    above, low, low_mixed = _beside(node, ">=", low)
    below, high, high_mixed = _beside(node, "<=", high)
    if low_mixed or high_mixed:
        compare = functools.partial(_compare, [above, below])
        return _over(compare, [node.expression, _operand(low), _operand(high)], _BOOLEAN)
    closed = _CLOSED[above, below]
    return node.expression.is_between(low.expression, high.expression, closed=closed)


def is_among(node: Node, literals: Sequence[Any]) -> pl.Expr:
    """Return whether a value is one of some literals' of kinds that compare with it."""
    if node.literal:
        return pl.lit(node.value in literals)
    kind: Any = node.kind
    dtype, values = DTYPES[kind], literals
    if kind == "int":
        low, high = -INT64_MAX - 1, INT64_MAX
        if node.wide:
            dtype, low, high = _WIDE, -node.magnitude, node.magnitude
        values = [int(value) for value in literals if low <= value <= high and value == int(value)]
    elif kind == "float":
        values = [float(value) for value in literals]
    return node.expression.is_in(pl.Series(values, dtype=dtype).implode())


def _beside(node: Node, sign: str, other: Node) -> tuple[str, Node, bool]:
    """Return a comparison and what to compare with, and whether that is a whole number and a float.

    Beside a whole number, a literal that has a fraction or an exponent becomes a whole number;
    beside a float, a literal becomes one.
    """
    if node.kind == other.kind or node.kind not in NUMBERS:
        return sign, other, False
    if not other.literal:
        return sign, other, True
    if node.kind == "float":
        return sign, replace(other, kind="float"), False
    beyond = node.magnitude + 1  # as good as anything further out
    value = max(min(other.value, Decimal(beyond)), Decimal(-beyond))
    whole = int(value.to_integral_value(ROUND_FLOOR))
    if value != whole:
        if sign in ("=", "<>", "!="):
            whole = beyond
        sign = {"<": "<=", ">=": ">"}.get(sign, sign)
    return sign, Node("int", None, other.at, whole), False


def _over(
    function: Callable[..., pl.Series], operands: Sequence[_Operand], dtype: pl.DataType
) -> pl.Expr:
    """Return what a function makes of the values of its operands."""
    computed = [operand for operand in operands if isinstance(operand, pl.Expr)]
    if not computed:
        return pl.lit(function(*operands).item(), dtype)

    def apply(values: Sequence[pl.Series]) -> pl.Series:
        rest = iter(values)
        return function(*[next(rest) if isinstance(o, pl.Expr) else o for o in operands])

    return pl.map_batches(computed, apply, return_dtype=dtype)


def _operand(node: Node) -> _Operand:
    if node.kind == "float":
        return _float_operand(node)
    return _whole_operand(node, _WIDE if node.magnitude > INT64_MAX else _INT64)


def _float_operand(node: Node) -> _Operand:
    return pl.Series([float(node.value)], dtype=_FLOAT64) if node.literal else as_float(node)


def _whole_operand(node: Node, dtype: pl.DataType) -> _Operand:
    return pl.Series([node.value], dtype=dtype) if node.literal else node.expression.cast(dtype)


def _whole_remainder(a: pl.Series, b: pl.Series) -> pl.Series:
    """Return a remainder with the sign of the left; Polars' own has that of the right."""
    return a.sign() * (a.abs() % b.abs())


def _in_float(compute: Callable[[Any, Any], Any], x: pl.Series, y: pl.Series) -> pl.Series:
    """Compute with float64, null where there is no number."""
    with np.errstate(all="ignore"):
        return pl.Series(compute(x.to_numpy(), y.to_numpy()), nan_to_null=True)


def _compare(signs: Sequence[str], first: pl.Series, *others: pl.Series) -> pl.Series:
    """Return where the first values compare with all of the others as the signs say."""
    found: list[pl.Series] = [
        _compare_exactly(first, sign, other)
        if first.dtype.is_integer() and other.dtype.is_float()
        else _compare_exactly(other, _MIRRORED.get(sign, sign), first)
        if first.dtype.is_float() and other.dtype.is_integer()
        else _COMPARE[sign](first, other)
        for sign, other in zip(signs, others, strict=True)
    ]
    return functools.reduce(operator.and_, found)


def _compare_exactly(whole: pl.Series, sign: str, value: pl.Series) -> Any:
    """Compare whole numbers with floats, of which the whole numbers around them are taken."""
    if magnitude_of(whole) <= _EXACT_IN_FLOAT:  # ten times as fast
        return _COMPARE[sign](whole.cast(_FLOAT64), value)
    value = value.clip(-_FLOAT_LIMIT, _FLOAT_LIMIT)
    floor, ceiling = value.floor().cast(_WIDE), value.ceil().cast(_WIDE)
    match sign:
        case "<":
            return whole < ceiling
        case "<=":
            return whole <= floor
        case ">":
            return whole > floor
        case ">=":
            return whole >= ceiling
    equal = (whole >= ceiling) & (whole <= floor)
    return equal if sign == "=" else ~equal
