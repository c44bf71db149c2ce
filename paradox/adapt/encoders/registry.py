"""Encoders by name."""

from __future__ import annotations

from collections.abc import Callable

from paradox.adapt.encoders.encoder import Encoder
from paradox.adapt.encoders.minilm import MiniLm
from paradox.adapt.encoders.use import UseMultilingual
from paradox.core import config
from paradox.core.errors import UnknownEncoder

_ENCODERS: dict[str, Callable[..., Encoder]] = {
    UseMultilingual.name: UseMultilingual,
    MiniLm.name: MiniLm,
}


def names() -> tuple[str, ...]:
    """Return the names of all encoders, whether or not their packages are installed."""
    return tuple(_ENCODERS)


def check_name(name: str) -> str:
    """Return `name`, if an encoder has it.

    Raises:
        UnknownEncoder: none has.
    """
    if name not in _ENCODERS:
        raise UnknownEncoder(f"encoder: expected one of {', '.join(_ENCODERS)}; got {name!r}")
    return name


def load(name: str, *, threads: int | None = None) -> Encoder:
    """Load an encoder.

    Args:
        name: one of `names()`.
        threads: threads of one `encode`; None takes `PARADOX_THREADS`.

    Raises:
        UnknownEncoder: there is none of that name, or the package it needs is not installed.
        CorruptionError: the package's files are not the ones known.
    """
    return _ENCODERS[check_name(name)](threads=config.threads() if threads is None else threads)
