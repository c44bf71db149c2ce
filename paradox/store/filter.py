"""Filters: one SQL expression over declared payload columns, compiled to a Polars expression.

The expression is parsed here and not by `polars.sql_expr`, which is no parser for what arrives
from outside: measured on Polars 2.1, `a IN (SELECT x FROM read_csv('/etc/passwd'))` opens the file
while parsing, ten thousand `OR`s or `::int`s end the process with a stack overflow, a thousand
take a minute, and a hundred chained `BETWEEN`s take all memory. What is not in this grammar
cannot be reached.

    term        := NOT, AND, OR over comparisons
    comparison  := value [= <> != < <= > >= value]
                 | value [NOT] IN (literal, ...)       | value [NOT] BETWEEN value AND value
                 | value [NOT] LIKE | ILIKE 'pattern'  | value IS [NOT] NULL | TRUE | FALSE
                 | value = ANY(list)
    value       := + - * / % || over: column, "column", literal, (term), FUNCTION(...),
                   CAST(value AS type), EXTRACT(field FROM value), TIMESTAMP '...', DATE '...'

Comparisons are typed: a timestamp compares with a timestamp or an ISO 8601 string, an int with a
float, everything else with its own type. Where a value is null, a comparison is null, and a
record is found only where the filter is true, as in SQL. `/` divides without rounding.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import polars as pl

from paradox.core.errors import FilterError
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
from paradox.store.schema import ColumnType
from paradox.store.sql import Token, TokenReader

Read = TypeVar("Read")

MAX_DEPTH = 32
"""Parentheses, functions and NOTs within each other."""
MAX_COMPARISONS = 1_000
"""Comparisons in one filter; a list after IN counts as one."""
MAX_ARITHMETIC = 100
"""Arithmetic operators in one filter: Polars takes 1.8 s to plan 900."""
_MAX_PATTERN = 1_000
_INT64_MAX = 2**63 - 1

_COMPARISONS: Mapping[str, Callable[[Any, Any], pl.Expr]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ARITHMETIC: Mapping[str, Callable[[Any, Any], pl.Expr]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
}
_RESERVED = frozenset(
    {"AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "ILIKE", "IS"}
    | {"NULL", "TRUE", "FALSE", "ANY", "AS", "FROM", "SELECT", "WHERE"}
)


def compile_filter(
    text: str, columns: Mapping[str, ColumnType], expressions: Mapping[str, pl.Expr]
) -> pl.Expr:
    """Return a filter as a boolean Polars expression, one value a row.

    Args:
        text: the filter.
        columns: the declared columns.
        expressions: what each of them is in Polars.

    Raises:
        FilterError: not exactly one boolean expression over declared columns; says what was
            expected, what came and at which character.
    """
    parser = _Parser(TokenReader(text), columns, expressions)
    node = parser.term()
    parser.expect_end()
    if node.kind != "bool":
        raise FilterError(f"filter: expected a boolean expression; got {node}")
    return node.expression


class _Parser:
    """Recursive descent; each method takes what it is named for from the reader."""

    def __init__(
        self,
        reader: TokenReader,
        columns: Mapping[str, ColumnType],
        expressions: Mapping[str, pl.Expr],
    ) -> None:
        self._reader = reader
        self._columns = columns
        self._expressions = expressions
        self._depth = 0
        self._n_comparisons = 0
        self._n_arithmetic = 0

    def expect_end(self) -> None:
        if self._reader.peek().kind != "end":
            raise self._reader.unexpected("the end of the expression")

    def term(self) -> Node:
        return self._joined(self._conjunction, "OR", pl.any_horizontal)

    def _conjunction(self) -> Node:
        return self._joined(self._negation, "AND", pl.all_horizontal)

    def _joined(
        self, operand: Callable[[], Node], word: str, join: Callable[[list[pl.Expr]], pl.Expr]
    ) -> Node:
        """Read operands joined by a word, side by side: Polars goes into nested ones too deep."""
        nodes = [operand()]
        while self._reader.take_word(word):
            nodes.append(operand())
        if len(nodes) == 1:
            return nodes[0]
        for node in nodes:
            self._expect(node, "bool")
        return Node("bool", join([node.expression for node in nodes]), nodes[0].at)

    def _negation(self) -> Node:
        at = self._reader.peek().at
        if self._reader.take_word("NOT"):
            node = self._expect(self._nested(self._negation), "bool")
            return Node("bool", ~node.expression, at)
        return self._comparison()

    def _comparison(self) -> Node:
        reader = self._reader
        left = self._sum()
        if sign := reader.take_sign(*_COMPARISONS):
            self._count_comparison()
            if sign == "=" and reader.take_word("ANY"):
                return self._any_of(left)
            left, right = self._comparable(left, self._sum())
            compared = _COMPARISONS[sign](left.expression, right.expression)
            return Node("bool", compared, left.at)
        if reader.take_word("IS"):
            return self._is(left)
        negated = reader.take_word("NOT")
        if reader.take_word("IN"):
            found = self._in(left)
        elif reader.take_word("BETWEEN"):
            found = self._between(left)
        elif reader.take_word("LIKE"):
            found = self._like(left, "(?s)")
        elif reader.take_word("ILIKE"):
            found = self._like(left, "(?si)")
        elif negated:
            raise reader.unexpected("IN, BETWEEN, LIKE or ILIKE after NOT")
        else:
            return left
        self._count_comparison()
        return Node("bool", ~found if negated else found, left.at)

    def _any_of(self, left: Node) -> Node:
        self._expect(left, "str")
        items = self._expect(self._in_parentheses(self._sum), "list[str]")
        return Node("bool", items.expression.list.contains(left.expression), left.at)

    def _is(self, left: Node) -> Node:
        reader = self._reader
        negated = reader.take_word("NOT")
        if reader.take_word("NULL"):
            found = left.expression.is_null()
        elif reader.take_word("TRUE"):
            found = self._expect(left, "bool").expression.fill_null(False)
        elif reader.take_word("FALSE"):
            found = ~self._expect(left, "bool").expression.fill_null(True)
        else:
            raise reader.unexpected("NULL, TRUE or FALSE after IS")
        self._count_comparison()
        return Node("bool", ~found if negated else found, left.at)

    def _in(self, left: Node) -> pl.Expr:
        reader = self._reader
        reader.expect_sign("(")
        values = []
        while True:
            values.append(self._comparable(left, self._literal())[1].value)
            if reader.take_sign(")"):
                break
            if not reader.take_sign(","):
                raise reader.unexpected("',' or ')'")
        kind: Any = left.kind
        if kind == "int" and any(isinstance(value, float) for value in values):
            kind = "float"
        choices = pl.Series(values, dtype=DTYPES[kind], strict=False)
        return left.expression.cast(DTYPES[kind]).is_in(choices.implode())

    def _literal(self) -> Node:
        node = self._unary()
        if not node.literal:
            raise FilterError(f"filter: expected a literal; got {node} at character {node.at}")
        return node

    def _between(self, left: Node) -> pl.Expr:
        _, low = self._comparable(left, self._sum())
        if not self._reader.take_word("AND"):
            raise self._reader.unexpected("AND after BETWEEN")
        left, high = self._comparable(left, self._sum())
        return left.expression.is_between(low.expression, high.expression)

    def _like(self, left: Node, flags: str) -> pl.Expr:
        self._expect(left, "str")
        wild = {"%": ".*", "_": "."}
        pattern = "".join([wild.get(c) or re.escape(c) for c in self._pattern()])
        return left.expression.str.contains(f"{flags}^{pattern}$")

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
        whole = left.kind == right.kind == "int" and sign != "/"
        value = _ARITHMETIC[sign](left.expression, right.expression)
        return Node("int" if whole else "float", value, left.at)

    def _unary(self) -> Node:
        at = self._reader.peek().at
        if not self._reader.take_sign("-"):
            return self._primary()
        if self._reader.peek().kind == "number":
            return self._number(self._reader.take(), "-")
        node = self._expect(self._nested(self._unary), *NUMBERS)
        return Node(node.kind, -node.expression, at)

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
            return self._timestamp(Node("str", None, text.at, text.text))
        if reader.peek().kind == "sign" and reader.peek().text == "(" and word not in _RESERVED:
            return self._call(word, token)
        if word in _RESERVED:
            raise reader.unexpected("a value (a column of that name is written in quotes)", token)
        return self._column(token)

    def _number(self, token: Token, sign: str = "") -> Node:
        text = sign + token.text
        if not token.text.isdigit():
            return Node("float", None, token.at, float(text))
        if not -_INT64_MAX - 1 <= (value := int(text[:40])) <= _INT64_MAX:
            raise self._reader.unexpected("an int64", token)
        return Node("int", None, token.at, value)

    def _column(self, token: Token) -> Node:
        if token.text not in self._columns:
            declared = ", ".join(sorted(self._columns)) or "there are none"
            raise self._reader.unexpected(f"a declared column ({declared:.200})", token)
        return Node(self._columns[token.text], self._expressions[token.text], token.at)

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
        kind: Kind = "float" if any(node.kind == "float" for node in aligned) else first.kind
        return Node(kind, pl.coalesce([node.expression for node in aligned]), first.at)

    def _cast(self) -> Node:
        node = self._sum()
        if not self._reader.take_word("AS"):
            raise self._reader.unexpected("AS")
        token = self._reader.take()
        kind = CAST_TYPES.get(token.text.upper())
        if token.kind != "word" or kind is None:
            raise self._reader.unexpected(f"one of {', '.join(CAST_TYPES)}", token)
        if kind == "timestamp" and node.kind == "str" and node.literal:
            return self._timestamp(node)
        self._expect(node, *CASTABLE[kind])
        return Node(kind, node.expression.cast(DTYPES[kind], strict=False), node.at)

    def _extract(self) -> Node:
        token = self._reader.take()
        field = FIELDS.get(token.text.upper())
        if token.kind != "word" or field is None:
            raise self._reader.unexpected(f"one of {', '.join(FIELDS)}", token)
        if not self._reader.take_word("FROM"):
            raise self._reader.unexpected("FROM")
        moment = self._expect(self._sum(), "timestamp")
        return Node("int", field(moment.expression).cast(pl.Int64), token.at)

    def _timestamp(self, node: Node) -> Node:
        try:
            moment = datetime.fromisoformat(node.value)
            moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise FilterError(
                f"filter: expected an ISO 8601 timestamp; got {node.value!r:.40} "
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
            right = self._timestamp(right)
        if right.kind == "timestamp" and left.kind == "str" and left.literal:
            left = self._timestamp(left)
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

    def _count_comparison(self) -> None:
        self._n_comparisons += 1
        if self._n_comparisons > MAX_COMPARISONS:
            raise self._reader.unexpected(f"at most {MAX_COMPARISONS} comparisons (IN is one)")

    def _count_arithmetic(self) -> None:
        self._n_arithmetic += 1
        if self._n_arithmetic > MAX_ARITHMETIC:
            raise self._reader.unexpected(f"at most {MAX_ARITHMETIC} arithmetic operators")
