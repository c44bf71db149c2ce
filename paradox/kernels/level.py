"""Which instruction set the kernels use: the best there is, or what `PARADOX_ISA` names."""

from __future__ import annotations

from paradox._native import kernels as native
from paradox.core import config
from paradox.core.errors import InvalidArgument


def available() -> tuple[str, ...]:
    """Return the levels this machine can run, the best first; "scalar" is always there."""
    return native.available()


def isa() -> str:
    """Return the level in use: "amx", "avx512vnni", "avx512", "avx2", "neon" or "scalar"."""
    return chosen.isa


def choose(name: str | None) -> native.Kernels:
    """Return the kernels of a level, or of the best one.

    Raises:
        InvalidArgument: the level is unknown, or this machine lacks it.
    """
    levels = available()
    if name is None:
        name = levels[0]
    if name not in levels:
        raise InvalidArgument(
            f"PARADOX_ISA: expected a level this machine has, {', '.join(levels)}; got {name!r}"
        )
    return native.Kernels(name)


chosen = choose(config.isa())
