"""Tokens of a filter, and the reader that the parser takes them from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from paradox.core.errors import FilterError

MAX_CHARACTERS = 262_144
"""A filter may name some tens of thousands of values, no more."""

TokenKind = Literal["number", "string", "quoted", "word", "sign", "end"]

_TOKENS = re.compile(
    r"""\s*(?:
      (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<string>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")+"|`[^`]+`)
    | (?P<word>[^\W\d]\w*)
    | (?P<sign><>|!=|<=|>=|\|\||[=<>()+\-*/%,])
    | (?P<end>\Z)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a filter.

    Attributes:
        kind: what it is.
        text: as it stands in the filter; without quotes where it was quoted.
        at: position of its first character, from 1.
    """

    kind: TokenKind
    text: str
    at: int

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text)


class TokenReader:
    """The tokens of one filter, one after the other."""

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise FilterError(f"filter: expected an SQL expression; got {text!r:.80}")
        if len(text) > MAX_CHARACTERS:
            raise FilterError(
                f"filter: expected at most {MAX_CHARACTERS} characters; got {len(text)}"
            )
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0

    def peek(self, ahead: int = 0) -> Token:
        """Return a token that is still to come, the end where there is none."""
        return self._tokens[min(self._next + ahead, len(self._tokens) - 1)]

    def take(self) -> Token:
        """Return the next token and pass it."""
        token = self.peek()
        self._next += 1
        return token

    def since(self, at: int) -> str:
        """Return the filter's text from a character, counted from 1, up to the next token."""
        return self._text[at - 1 : self.peek().at - 1].strip()

    def is_word(self, *words: str) -> bool:
        """Whether the next tokens are these keywords, in any case."""
        return all(
            self.peek(n).kind == "word" and self.peek(n).text.upper() == word
            for n, word in enumerate(words)
        )

    def take_word(self, *words: str) -> bool:
        """Pass these keywords if they come next; return whether they did."""
        found = self.is_word(*words)
        if found:
            self._next += len(words)
        return found

    def take_sign(self, *signs: str) -> str | None:
        """Pass one of these signs if it comes next, and return it."""
        token = self.peek()
        if token.kind == "sign" and token.text in signs:
            return self.take().text
        return None

    def expect_sign(self, sign: str) -> None:
        """Pass a sign.

        Raises:
            FilterError: something else comes next.
        """
        if self.take_sign(sign) is None:
            raise self.unexpected(repr(sign))

    def unexpected(self, expected: str, token: Token | None = None) -> FilterError:
        """Return the error that the next token, or the one given, is not what was expected."""
        token = token or self.peek()
        return FilterError(f"filter: expected {expected}; got {token} at character {token.at}")


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    at = 0
    while not tokens or tokens[-1].kind != "end":
        match = _TOKENS.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise FilterError(
                f"filter: expected one SQL expression; got {text[at : at + 10]!r} "
                f"at character {at + 1}"
            )
        kind = match.lastgroup
        assert kind is not None
        token = match[kind]
        start = match.start(kind) + 1
        if kind in ("string", "quoted"):
            quote = token[0]
            token = token[1:-1].replace(quote * 2, quote)
        tokens.append(Token(kind, token, start))  # type: ignore[arg-type]
        at = match.end()
    return tokens
