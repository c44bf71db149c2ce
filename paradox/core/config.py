"""The only reader of the environment.

`PARADOX_HOME`: folder of collections created without `storage=`; `~/.paradox`.
`PARADOX_CACHE`: folder of models and embedded corpora; `~/.cache/paradox`.
`PARADOX_ISA`: instruction set of the kernels (scalar, avx2, avx512, avx512vnni, amx, neon); the
best there is.
`PARADOX_THREADS`: threads of one call where the caller names none; 1. Shards go by
the CPUs they take instead.
`RAY_ADDRESS`: the Ray cluster that `paradox.connect()` joins, as for Ray itself; the one here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from paradox.core.errors import InvalidArgument

_named_threads: ContextVar[int | None] = ContextVar("named_threads", default=None)


def home() -> Path:
    """Return the folder that holds collections created without `storage=`."""
    return Path(os.environ.get("PARADOX_HOME") or "~/.paradox").expanduser().absolute()


def cache() -> Path:
    """Return the folder of what can be made again: models, embedded corpora."""
    return Path(os.environ.get("PARADOX_CACHE") or "~/.cache/paradox").expanduser().absolute()


def isa() -> str | None:
    """Return the instruction set asked for, or None for the best the machine has."""
    return os.environ.get("PARADOX_ISA") or None


def threads() -> int:
    """Return how many threads a call uses where its caller names none.

    Raises:
        InvalidArgument: `PARADOX_THREADS` is not a positive integer.
    """
    named = _named_threads.get()
    if named is not None:
        return named
    value = os.environ.get("PARADOX_THREADS") or "1"
    if not value.isdecimal() or int(value) < 1:
        raise InvalidArgument(f"PARADOX_THREADS: expected a positive integer; got {value!r}")
    return int(value)


@contextmanager
def using_threads(n: int) -> Iterator[None]:
    """Have `threads()` return `n` within, in this thread of Python."""
    token = _named_threads.set(n)
    try:
        yield
    finally:
        _named_threads.reset(token)


def ray_address() -> str | None:
    """Return the Ray cluster to join, or None where none is named."""
    return os.environ.get("RAY_ADDRESS") or None
