"""Checks of what a caller may set on a backend, and of the effort of one search."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from paradox.core.errors import InvalidArgument

MAX_EFFORT = 2**31 - 1


def check_known(backend: str, factory: type, options: Mapping[str, Any]) -> None:
    """Refuse options that `factory` does not take.

    Raises:
        InvalidArgument: names those it takes.
    """
    known = [
        name
        for name, parameter in inspect.signature(factory).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    for name in options:
        if name not in known:
            expected = f"one of {', '.join(known)}" if known else "none"
            raise InvalidArgument(f"options of {backend!r}: expected {expected}; got {name!r}")


def as_plain(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return options without NumPy's numbers, which cannot be saved.

    Raises:
        InvalidArgument: they are no mapping.
    """
    if options is not None and not isinstance(options, Mapping):
        raise InvalidArgument(f"index_options: expected a dict; got {options!r:.40}")
    given = (options or {}).items()
    return {name: v.item() if isinstance(v, np.generic) else v for name, v in given}


def check_int(name: str, value: object, lowest: int, highest: int) -> int:
    """Return `value` as an int from `lowest` to `highest`.

    Raises:
        InvalidArgument: it is not.
    """
    if type(value) is int:  # asked first, as the abstract class answers in a microsecond
        number = value
    elif isinstance(value, numbers.Integral) and not isinstance(value, bool):
        number = int(value)
    else:
        raise InvalidArgument(f"{name}: expected an integer; got {value!r}")
    if not lowest <= number <= highest:
        raise InvalidArgument(f"{name}: expected {lowest} to {highest}; got {value}")
    return number


def check_choice(name: str, value: object, choices: Collection[str]) -> str:
    """Return `value` if it is one of `choices`.

    Raises:
        InvalidArgument: it is not.
    """
    if not isinstance(value, str) or value not in choices:
        raise InvalidArgument(f"{name}: expected one of {', '.join(choices)}; got {value!r}")
    return str(value)  # NumPy's strings cannot be saved


def check_flag(name: str, value: object) -> bool:
    """Return `value` if it is True or False.

    Raises:
        InvalidArgument: it is neither.
    """
    if not isinstance(value, bool):
        raise InvalidArgument(f"{name}: expected True or False; got {value!r}")
    return value


def check_threads(name: str, threads: object) -> int | None:
    """Return `threads` as an int of 1 or more, or None if it is.

    Raises:
        InvalidArgument: it is neither.
    """
    return None if threads is None else check_int(name, threads, 1, 1_024)


def check_effort(effort: object) -> int:
    """Return `effort` as an int of 1 or more.

    Raises:
        InvalidArgument: it is not.
    """
    return check_int("effort", effort, 1, MAX_EFFORT)


def check_tuned(effort: object) -> int | None:
    """Return an effort that `tune` has set, or None where it has set none.

    Raises:
        InvalidArgument: it is neither.
    """
    return None if effort is None else check_effort(effort)
