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

Comparisons are typed: a timestamp compares with a timestamp or an ISO 8601 string, which is in UTC
where it names no zone; an int with a float; everything else with its own type. Text compares by
its code points as they were given, in LIKE too, which has no escape character. Where a value is
null, a comparison is null, and a record is found only where the filter is true, as in SQL.

Whole numbers are exact, see `arithmetic.py`. `/`, and all that has a float beside it, is computed
in float64. `%` has the sign of the left; by zero, both are null. CAST gives null where it cannot,
cuts off a fraction, and a DATE is its midnight in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import polars as pl

from paradox.core.errors import FilterError
from paradox.store.arithmetic import COMPARISONS, compared, is_among, is_between
from paradox.store.functions import Node, contains
from paradox.store.schema import ColumnType
from paradox.store.sql import TokenReader
from paradox.store.values import ValueParser

MAX_COMPARISONS = 1_000
"""Comparisons in one filter; a list after IN counts as one."""


def compile_filter(
    text: str,
    columns: Mapping[str, ColumnType],
    expressions: Mapping[str, pl.Expr],
    magnitude: Callable[[str], int],
) -> pl.Expr:
    """Return a filter as a boolean Polars expression, one value a row.

    Args:
        text: the filter.
        columns: the declared columns.
        expressions: what each of them is in Polars.
        magnitude: gives the greatest magnitude in a column of type int.

    Raises:
        FilterError: not exactly one boolean expression over declared columns; says what was
            expected, what came and at which character.
    """
    parser = _FilterParser(TokenReader(text), columns, expressions, magnitude)
    node = parser.term()
    parser.expect_end()
    if node.kind != "bool":
        raise FilterError(f"filter: expected a boolean expression; got {node}")
    return node.expression


class _FilterParser(ValueParser):
    """Reads what is true or false."""

    _n_comparisons = 0

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
        if sign := reader.take_sign(*COMPARISONS):
            self._count_comparison()
            if sign == "=" and reader.peek().text == "=":
                raise reader.unexpected("one '=' where values are compared")
            if sign == "=" and reader.take_word("ANY"):
                return self._any_of(left)
            left, right = self._comparable(left, self._sum())
            return Node("bool", compared(left, sign, right), left.at)
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
        return Node("bool", contains(items.expression, left.expression), left.at)

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
        return is_among(left, values)

    def _literal(self) -> Node:
        node = self._unary()
        if not node.literal:
            raise FilterError(f"filter: expected a literal; got {node} at character {node.at}")
        return node

    def _between(self, left: Node) -> pl.Expr:
        left, low = self._comparable(left, self._sum())
        if not self._reader.take_word("AND"):
            raise self._reader.unexpected("AND after BETWEEN")
        left, high = self._comparable(left, self._sum())
        return is_between(left, low, high)

    def _like(self, left: Node, flags: str) -> pl.Expr:
        self._expect(left, "str")
        wild = {"%": ".*", "_": "."}
        pattern = "".join([wild.get(c) or re.escape(c) for c in self._pattern()])
        return left.expression.str.contains(f"{flags}^{pattern}$")

    def _count_comparison(self) -> None:
        self._n_comparisons += 1
        if self._n_comparisons > MAX_COMPARISONS:
            raise self._reader.unexpected(f"at most {MAX_COMPARISONS} comparisons (IN is one)")
