"""The level in use: the best of this machine, or the one that is asked for, never another."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from paradox import kernels
from paradox._native.kernels import Kernels
from paradox.core.errors import InvalidArgument
from paradox.kernels import level

LEVELS = ("amx", "avx512vnni", "avx512", "avx2", "neon", "scalar")
"""Every level there is, the best of a machine first."""


def isa_with(value: str) -> subprocess.CompletedProcess[str]:
    """Print the level of a process whose `PARADOX_ISA` is `value`."""
    command = [sys.executable, "-c", "from paradox import kernels; print(kernels.isa())"]
    environment = {**os.environ, "PARADOX_ISA": value}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_levels_of_this_machine_are_known_and_the_best_is_first():
    available = kernels.available()
    assert available[-1] == "scalar"
    assert [isa for isa in LEVELS if isa in available] == list(available)


def test_a_level_is_its_own():
    for isa in kernels.available():
        assert level.choose(isa).isa == isa
    assert level.choose(None).isa == kernels.available()[0]


def test_the_level_in_use_is_the_forced_one(isa):
    assert kernels.isa() == isa


@pytest.mark.parametrize("value", ["", *kernels.available()])
def test_the_environment_chooses(value):
    done = isa_with(value)
    assert done.stdout.strip() == (value or kernels.available()[0]), done.stderr


def test_an_unknown_level_is_an_error():
    done = isa_with("sse9")
    assert done.returncode != 0
    assert "InvalidArgument: PARADOX_ISA: expected a level this machine has" in done.stderr
    assert "got 'sse9'" in done.stderr


def test_a_level_this_machine_lacks_is_an_error():
    lacking = next(isa for isa in LEVELS if isa not in kernels.available())
    done = isa_with(lacking)
    assert done.returncode != 0
    assert f"expected a level this machine has, {', '.join(kernels.available())}" in done.stderr


@pytest.mark.parametrize("name", ["", "AVX2", "sse9", "scalar "])
def test_names_are_exact(name):
    with pytest.raises(InvalidArgument, match="PARADOX_ISA: expected a level"):
        level.choose(name)
    with pytest.raises(ValueError, match=r"isa: expected one of .*scalar; got"):
        Kernels(name)
