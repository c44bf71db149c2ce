"""The values of a filter: columns, literals, arithmetic and functions, each with its type."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import TypeVar

import polars as pl

from paradox.core.errors import FilterError
from paradox.store.arithmetic import (
    COMPARISONS,
    MAX_MAGNITUDE,
    absolute,
    as_float,
    calculated,
    negated,
)
from paradox.store.functions import (
    CAST_TYPES,
    CASTABLE,
    DTYPES,
    FIELDS,
    FUNCTIONS,
    NUMBERS,
    Kind,
    Node,
)
from paradox.store.schema import INT64_MAX, ColumnType
from paradox.store.sql import Token, TokenReader
from paradox.store.timestamps import to_utc

Read = TypeVar("Read")

MAX_DEPTH = 32
"""Parentheses, functions and NOTs within each other."""
MAX_ARITHMETIC = 100
"""Arithmetic operators in one filter: Polars takes 1.8 s to plan 900."""
_MAX_PATTERN = 1_000

_RESERVED = frozenset(
    {"AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "ILIKE", "IS"}
    | {"NULL", "TRUE", "FALSE", "ANY", "AS", "FROM", "SELECT", "WHERE"}
)


class ValueParser(ABC):
    """Recursive descent; each method takes what it is named for from the reader.

    Args:
        reader: the tokens.
        columns: the declared columns.
        expressions: what each of them is in Polars.
        magnitude: gives the greatest magnitude in a column of type int.
    """

    def __init__(
        self,
        reader: TokenReader,
        columns: Mapping[str, ColumnType],
        expressions: Mapping[str, pl.Expr],
        magnitude: Callable[[str], int],
    ) -> None:
        self._reader = reader
        self._columns = columns
        self._expressions = expressions
        self._magnitude = magnitude
        self._depth = 0
        self._n_arithmetic = 0

    @abstractmethod
    def term(self) -> Node:
        """Read what may stand in parentheses."""

    def _sum(self) -> Node:
        left = self._product()
        while sign := self._reader.take_sign("+", "-", "||"):
            self._count_arithmetic()
            right = self._product()
            if sign == "||":
                self._expect(left, "str")
                self._expect(right, "str")
                left = Node("str", pl.concat_str(left.expression, right.expression), left.at)
            else:
                left = self._calculated(left, sign, right)
        return left

    def _product(self) -> Node:
        left = self._unary()
        while sign := self._reader.take_sign("*", "/", "%"):
            self._count_arithmetic()
            left = self._calculated(left, sign, self._unary())
        return left

    def _calculated(self, left: Node, sign: str, right: Node) -> Node:
        self._expect(left, *NUMBERS)
        self._expect(right, *NUMBERS)
        node = calculated(left, sign, right)
        if node.kind == "int" and node.magnitude > MAX_MAGNITUDE:
            raise FilterError(
                "filter: expected whole numbers of at most 127 bits; got "
                f"{self._reader.since(left.at)!r:.80} at character {left.at}, which may have "
                f"{node.magnitude.bit_length()} (CAST(... AS FLOAT) calculates in float64)"
            )
        return node

    def _unary(self) -> Node:
        at = self._reader.peek().at
        if not self._reader.take_sign("-"):
            return self._primary()
        if self._reader.peek().kind == "number":
            return self._number(self._reader.take(), "-")
        return negated(self._expect(self._nested(self._unary), *NUMBERS), at)

    def _primary(self) -> Node:
        reader = self._reader
        token = reader.peek()
        if token.kind == "sign" and token.text == "(":
            return self._in_parentheses(self.term)
        reader.take()
        if token.kind == "number":
            return self._number(token)
        if token.kind == "string":
            return Node("str", None, token.at, token.text)
        if token.kind == "quoted":
            return self._column(token)
        if token.kind != "word":
            raise reader.unexpected("a value", token)
        word = token.text.upper()
        if word in ("TRUE", "FALSE"):
            return Node("bool", None, token.at, word == "TRUE")
        if word == "NULL":
            return Node("null", None, token.at)
        if word in ("TIMESTAMP", "DATE") and reader.peek().kind == "string":
            text = reader.take()
            return self._moment(Node("str", None, text.at, text.text), word)
        if reader.peek().kind == "sign" and reader.peek().text == "(" and word not in _RESERVED:
            return self._call(word, token)
        if word in _RESERVED:
            raise reader.unexpected("a value (a column of that name is written in quotes)", token)
        return self._column(token)

    def _number(self, token: Token, sign: str = "") -> Node:
        text = sign + token.text
        if not token.text.isdigit():
            return Node("float", None, token.at, self._fraction(text, token))
        digits = token.text.lstrip("0") or "0"
        value = int(sign + digits[:40])  # more than 19 are refused, however many there are
        if not -INT64_MAX - 1 <= value <= INT64_MAX:
            raise self._reader.unexpected("an int64", token)
        return Node("int", None, token.at, value)

    def _fraction(self, text: str, token: Token) -> Decimal:
        try:
            value = Decimal(text)
        except InvalidOperation as error:
            raise self._reader.unexpected("a float64", token) from error
        if not math.isfinite(float(value)):
            raise self._reader.unexpected("a float64", token)
        return value

    def _column(self, token: Token) -> Node:
        if token.text not in self._columns:
            raise self._reader.unexpected(self._instead_of(token), token)
        limit = partial(self._magnitude, token.text)
        kind, expression = self._columns[token.text], self._expressions[token.text]
        return Node(kind, expression, token.at, limit=limit)

    def _instead_of(self, token: Token) -> str:
        """Return what was expected of a word that is no column, which has just been taken."""
        for name in self._columns:
            if name.casefold() == token.text.casefold():
                return f"the column as it is declared, {name!r}"
        declared = ", ".join(map(repr, sorted(self._columns))) or "there are none"
        before = self._reader.peek(-2)
        is_compared = before.kind == "sign" and before.text in COMPARISONS
        in_quotes = token.text.replace("'", "''")
        or_text = f", or a text in single quotes ('{in_quotes:.40}')" if is_compared else ""
        return f"a declared column ({declared:.200}){or_text}"

    def _call(self, name: str, token: Token) -> Node:
        if name == "CAST":
            return self._in_parentheses(self._cast)
        if name == "EXTRACT":
            return self._in_parentheses(self._extract)
        if name == "COALESCE":
            return self._coalesce(self._in_parentheses(self._arguments))
        if name == "REGEXP_LIKE":
            return self._in_parentheses(self._regexp)
        function = FUNCTIONS.get(name)
        if function is None:
            known = ", ".join(sorted([*FUNCTIONS, "CAST", "COALESCE", "EXTRACT", "REGEXP_LIKE"]))
            raise self._reader.unexpected(f"one of the functions {known}", token)
        arguments = self._in_parentheses(self._arguments)
        if len(arguments) != len(function.parameters):
            raise FilterError(
                f"filter: expected {len(function.parameters)} arguments of {name}; "
                f"got {len(arguments)} at character {token.at}"
            )
        for argument, kinds in zip(arguments, function.parameters, strict=True):
            self._expect(argument, *kinds)
        if function.parameters == (NUMBERS,) and arguments[0].kind == "int":
            return absolute(arguments[0]) if name == "ABS" else arguments[0]
        result = function.build(*[argument.expression for argument in arguments])
        return Node(function.result or arguments[0].kind, result, token.at)

    def _arguments(self) -> list[Node]:
        arguments = [self._sum()]
        while self._reader.take_sign(","):
            arguments.append(self._sum())
        return arguments

    def _coalesce(self, arguments: list[Node]) -> Node:
        first = arguments[0]
        aligned = [first] + [self._comparable(first, other)[1] for other in arguments[1:]]
        if any(node.kind == "float" for node in aligned):
            return Node("float", pl.coalesce([as_float(node) for node in aligned]), first.at)
        either = pl.coalesce([node.expression for node in aligned])
        return Node(
            first.kind,
            either,
            first.at,
            limit=lambda: max(node.magnitude for node in aligned),
            wide=any(node.wide for node in aligned),
        )

    def _cast(self) -> Node:
        node = self._sum()
        if not self._reader.take_word("AS"):
            raise self._reader.unexpected("AS")
        token = self._reader.take()
        kind = CAST_TYPES.get(token.text.upper())
        if token.kind != "word" or kind is None:
            raise self._reader.unexpected(f"one of {', '.join(CAST_TYPES)}", token)
        if kind == "timestamp" and node.kind == "str" and node.literal:
            return self._moment(node, token.text.upper())
        self._expect(node, *CASTABLE[kind])
        if token.text.upper() == "DATE":
            return Node(kind, node.expression.dt.truncate("1d"), node.at)
        if kind == node.kind:
            return node
        cast = node.expression.cast(DTYPES[kind], strict=False)
        if node.kind == "str" and kind == "float":  # a text may say nan
            self._count_arithmetic()
            cast = cast.replace(math.nan, None)
        return Node(kind, cast, node.at)

    def _extract(self) -> Node:
        token = self._reader.take()
        field = FIELDS.get(token.text.upper())
        if token.kind != "word" or field is None:
            raise self._reader.unexpected(f"one of {', '.join(FIELDS)}", token)
        if not self._reader.take_word("FROM"):
            raise self._reader.unexpected("FROM")
        moment = self._expect(self._sum(), "timestamp")
        return Node("int", field(moment.expression).cast(pl.Int64), token.at)

    def _regexp(self) -> Node:
        text = self._expect(self._sum(), "str")
        self._reader.expect_sign(",")
        return Node("bool", text.expression.str.contains(self._pattern()), text.at)

    def _pattern(self) -> str:
        token = self._reader.take()
        if token.kind != "string":
            raise self._reader.unexpected("a pattern in quotes", token)
        if len(token.text) > _MAX_PATTERN:
            raise self._reader.unexpected(f"at most {_MAX_PATTERN} characters", token)
        return token.text

    def _moment(self, node: Node, word: str = "TIMESTAMP") -> Node:
        """Return a timestamp, or the midnight of a date, that a string literal tells."""
        try:
            moment = to_utc((date if word == "DATE" else datetime).fromisoformat(node.value))
        except ValueError as error:
            raise FilterError(
                f"filter: expected an ISO 8601 {word.lower()}; got {node.value!r:.40} "
                f"at character {node.at}"
            ) from error
        return Node("timestamp", None, node.at, moment)

    def _comparable(self, left: Node, right: Node) -> tuple[Node, Node]:
        """Return two values of kinds that compare, one turned into a timestamp where it must be."""
        for node in (left, right):
            if node.kind == "null":
                raise FilterError(
                    f"filter: expected a value, or IS NULL; got NULL at character {node.at}"
                )
        if left.kind == "timestamp" and right.kind == "str" and right.literal:
            right = self._moment(right)
        if right.kind == "timestamp" and left.kind == "str" and left.literal:
            left = self._moment(left)
        if "list[str]" in (left.kind, right.kind):
            listed = left if left.kind == "list[str]" else right
            raise FilterError(
                "filter: expected ARRAY_CONTAINS(list, 'x') or 'x' = ANY(list); "
                f"got a comparison of a list at character {listed.at}"
            )
        if left.kind != right.kind and not (left.kind in NUMBERS and right.kind in NUMBERS):
            raise FilterError(
                f"filter: expected {left.kind} to compare with; got {right} at character {right.at}"
            )
        return left, right

    def _expect(self, node: Node, *kinds: Kind) -> Node:
        if node.kind not in kinds:
            raise FilterError(
                f"filter: expected {' or '.join(kinds)}; got {node} at character {node.at}"
            )
        return node

    def _in_parentheses(self, inner: Callable[[], Read]) -> Read:
        self._reader.expect_sign("(")
        node = self._nested(inner)
        self._reader.expect_sign(")")
        return node

    def _nested(self, inner: Callable[[], Read]) -> Read:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._reader.unexpected(f"at most {MAX_DEPTH} levels")
        node = inner()
        self._depth -= 1
        return node

    def _count_arithmetic(self) -> None:
        self._n_arithmetic += 1
        if self._n_arithmetic > MAX_ARITHMETIC:
            raise self._reader.unexpected(f"at most {MAX_ARITHMETIC} arithmetic operators")
