"""The kernels of the graph and of the lists in programs of their own: all have the scalar bits.

`test_emulated.py` is the same for the scans. What this machine has is run as it is too.
"""

from __future__ import annotations

import platform
import re
import subprocess

import pytest
from program import SIMDE, Program

from paradox import kernels

pytestmark = pytest.mark.slow

AVX2 = ["-mavx2", "-mf16c"]
AVX512 = ["-mavx512f", "-mavx512bw", "-Wno-uninitialized", "-Wno-maybe-uninitialized"]
X86_FLAGS = {"avx2": AVX2, "avx512": AVX512, "avx512vnni": [*AVX512, "-mavx512vnni"]}
IS_X86 = platform.machine().lower() in {"x86_64", "amd64"}


LEVELS = {"graph": ["avx2", "avx512", "avx512vnni"], "ivf": ["avx2", "avx512"]}
"""Levels of x86 that have a file."""


def runs(index: str) -> dict[str, tuple[Program, str]]:
    """Return programs for the kernels of `graph` or `ivf`, each with a level to run it at."""

    def of(*levels: str, flags: dict[str, list[str]] | None = None) -> dict[str, list[str]]:
        """Return the source files of levels, and of the scalar one, with their flags."""
        return {
            f"{index}/{index}_kernels_{level}": (flags or {}).get(level, [])
            for level in (*levels, "scalar")
        }

    def tables(*levels: str) -> str:
        return f"-DPARADOX_TABLES={','.join(f'{index}_kernels_{level}' for level in levels)}"

    x86 = LEVELS[index]
    wide = [level for level in x86 if level != "avx2"]
    driver = f"drive_{index}.cpp"
    chooser: dict[str, list[str]] = {f"{index}/{index}_kernels": []}
    here = Program(
        "g++",
        chooser | of("neon", *x86, flags=X86_FLAGS if IS_X86 else None),
        ["-O3"],
        "g++",
        driver=driver,
    )
    neon = Program(
        "aarch64-linux-gnu-g++",
        chooser | of("neon", *x86),
        ["-O3", "-static"],
        "g++-aarch64-linux-gnu and qemu-user",
        ("qemu-aarch64",),
        driver=driver,
    )
    emulated = Program(
        "g++",
        of(*x86, flags={"avx2": AVX2, **dict.fromkeys(wide, SIMDE)}),  # lists share some with AVX2
        ["-O1", tables(*wide)],
        "libsimde-dev, and AVX2",
        driver=driver,
    )
    address = Program(
        "g++",
        of("avx2", flags=X86_FLAGS),
        [
            *("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
            tables("avx2"),
        ],
        "the address and undefined-behaviour sanitizers of GCC, and AVX2",
        driver=driver,
    )
    emulated_address = Program(
        "g++",
        emulated.sources,
        ["-g", "-fsanitize=address", *emulated.flags],  # SIMDe itself overflows signed integers
        f"the address sanitizer of GCC, and {emulated.needs}",
        driver=driver,
    )
    return {
        **{f"{isa}-here": (here, isa) for isa in kernels.available()},
        "neon": (neon, "neon"),
        "neon-scalar": (neon, "scalar"),
        "address-avx2": (address, "avx2"),
        **{level: (emulated, level) for level in wide},
        **{f"address-{level}": (emulated_address, level) for level in wide},
    }


RUNS = {f"{index}-{name}": run for index in ("graph", "ivf") for name, run in runs(index).items()}


@pytest.fixture(scope="module")
def built() -> dict[int, list[str]]:
    return {}


@pytest.mark.parametrize("name", RUNS)
def test_every_kernel_has_the_bits_of_the_scalar_one(
    name: str, built: dict[int, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    program, isa = RUNS[name]
    if id(program) not in built:
        built[id(program)] = program.build(tmp_path_factory.mktemp("drive"))
    done = subprocess.run([*built[id(program)], isa], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"{isa}: [1-9]\d{{3}} checked\n", done.stdout)
